"""A batch of messages: what is done, what is tried again, and when."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from control_plane import services
from control_plane.batches import attempt_of, process_batch, read
from control_plane.recordings import CopyRecording
from phonebridge.jobs import JobQueue, RetryLater
from phonebridge.outcomes import SendOutcome

EVENTS = Path(__file__).parents[3] / "events"


@dataclass(frozen=True, slots=True)
class Fetch:
    what: str


@pytest.fixture
def queue(state: Mapping[str, str]) -> str:
    return state["RecordingsQueue"]


def receive(sqs: Any, queue: str) -> dict[str, Any]:
    """The event that Lambda makes of the waiting messages."""
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "3"},
            }
            for message in received
        ]
    }


def add(sqs: Any, queue: str, *what: str) -> None:
    for each in what:
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"what": each}))


def failed_ids(answer: dict[str, Any]) -> list[str]:
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


@pytest.mark.parametrize(
    ("sample", "kind"), [("copy_recording", CopyRecording), ("send_outcome", SendOutcome)]
)
def test_the_sample_events_can_be_read(sample: str, kind: type[Any]) -> None:
    [record] = json.loads((EVENTS / f"{sample}.json").read_text())["Records"]
    assert read(SQSRecord(record), kind).call_id == "6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41"
    assert attempt_of(SQSRecord(record)) == 1


def test_what_is_done_is_not_delivered_again(queue: str, sqs: Any) -> None:
    add(sqs, queue, "water", "wine")
    seen: list[tuple[Fetch, int]] = []

    def fetch(record: SQSRecord) -> None:
        seen.append((read(record, Fetch), attempt_of(record)))

    assert failed_ids(process_batch(receive(sqs, queue), fetch, JobQueue(queue))) == []
    assert sorted(fetched.what for fetched, _ in seen) == ["water", "wine"]
    assert {attempt for _, attempt in seen} == {3}


def test_what_cannot_be_done_now_is_delivered_again_after_its_pause(queue: str, sqs: Any) -> None:
    add(sqs, queue, "water", "wine")
    event = receive(sqs, queue)

    def fetch(record: SQSRecord) -> None:
        if read(record, Fetch).what == "wine":
            raise RetryLater("there is none", pause_seconds=0)

    [wine] = [each for each in event["Records"] if "wine" in each["body"]]
    assert failed_ids(process_batch(event, fetch, JobQueue(queue))) == [wine["messageId"]]
    [again] = receive(sqs, queue)["Records"]
    assert again["body"] == wine["body"]


def test_the_longest_pause_is_one_that_the_queue_grants(queue: str, sqs: Any) -> None:
    add(sqs, queue, "water")

    def fetch(record: SQSRecord) -> None:
        raise RetryLater("there is none", pause_seconds=43_200)

    assert failed_ids(process_batch(receive(sqs, queue), fetch, JobQueue(queue)))
    assert receive(sqs, queue) == {"Records": []}


def test_an_error_fails_its_own_message_only_and_is_logged(
    queue: str, sqs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = StringIO()
    monkeypatch.setattr(services.log.registered_handler, "stream", written)
    add(sqs, queue, "water", "wine")
    event = receive(sqs, queue)

    def fetch(record: SQSRecord) -> None:
        if read(record, Fetch).what == "wine":
            raise ZeroDivisionError

    [wine] = [each for each in event["Records"] if "wine" in each["body"]]
    assert failed_ids(process_batch(event, fetch, JobQueue(queue))) == [wine["messageId"]]
    line = json.loads(written.getvalue())
    assert (line["level"], line["exception_name"]) == ("ERROR", "ZeroDivisionError")


def test_a_message_that_cannot_be_read_is_delivered_again(queue: str, sqs: Any) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    event = receive(sqs, queue)
    answer = process_batch(event, lambda record: print(read(record, Fetch)), JobQueue(queue))
    assert failed_ids(answer) == [event["Records"][0]["messageId"]]
