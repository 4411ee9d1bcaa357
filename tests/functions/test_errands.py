"""Errands of a batch: what is done, what is tried again, and when."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import aws_state
from errands import Delivery, Errands, NotNow, carried_out, delivered
from outcomes import SendOutcome
from recordings import CopyRecording
from support.permissions import Caller

EVENTS = Path(__file__).parents[2] / "events"


@dataclass(frozen=True, slots=True)
class Fetch:
    what: str


@pytest.fixture
def sqs(dynamodb_address: str) -> Any:
    client = aws_state.client("sqs", dynamodb_address)
    yield client
    client.close()


def event(*messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "3"},
            }
            for message in messages
        ]
    }


@pytest.mark.parametrize(
    ("sample", "kind"), [("copy_recording", CopyRecording), ("send_outcome", SendOutcome)]
)
def test_the_samples_are_errands(sample: str, kind: type[Any]) -> None:
    [delivery] = delivered(json.loads((EVENTS / f"{sample}.json").read_text()))
    assert delivery.errand(kind).call_id == "6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41"
    assert delivery.attempt == 1


def test_an_errand_is_read_as_it_was_added(state: Mapping[str, str], sqs: Any) -> None:
    queue = state["RecordingsQueue"]
    Errands(queue).add(Fetch("water"))
    received = sqs.receive_message(QueueUrl=queue)["Messages"]
    seen: list[Delivery] = []
    assert carried_out(event(*received), seen.append, Errands(queue)) == {"batchItemFailures": []}
    [delivery] = seen
    assert delivery.errand(Fetch) == Fetch("water")
    assert delivery.attempt == 3


def test_what_cannot_be_done_now_is_left_and_comes_again_after_its_pause(
    state: Mapping[str, str], sqs: Any, caller: Caller
) -> None:
    queue = state["RecordingsQueue"]
    for what in ("water", "wine"):
        Errands(queue).add(Fetch(what))
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    wine = next(each for each in received if "wine" in each["Body"])

    def fetch(delivery: Delivery) -> None:
        if delivery.errand(Fetch).what == "wine":
            raise NotNow("there is none", pause_seconds=0)

    left = carried_out(event(*received), fetch, Errands(queue))
    assert left == {"batchItemFailures": [{"itemIdentifier": wine["MessageId"]}]}
    [again] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert again["Body"] == wine["Body"]


def test_the_longest_pause_is_one_that_the_queue_grants(state: Mapping[str, str], sqs: Any) -> None:
    queue = state["RecordingsQueue"]
    Errands(queue).add(Fetch("water"))
    received = sqs.receive_message(QueueUrl=queue)["Messages"]

    def fetch(delivery: Delivery) -> None:
        raise NotNow("there is none", pause_seconds=43_200)

    assert carried_out(event(*received), fetch, Errands(queue))["batchItemFailures"]
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)


def test_without_a_queue_there_are_no_errands(environment: None) -> None:
    Errands("").add(Fetch("water"))
