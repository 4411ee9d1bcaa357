"""Jobs that are added to a queue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phonebridge.jobs import JobQueue


@dataclass(frozen=True, slots=True)
class Fetch:
    what: str


def test_a_job_waits_in_its_queue(state: Mapping[str, str], sqs: Any) -> None:
    queue = state["RecordingsQueue"]
    JobQueue(queue).add(Fetch("water"))
    [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"]) == {"what": "water"}


def test_without_a_queue_there_are_no_jobs(environment: None) -> None:
    JobQueue("").add(Fetch("water"))
