"""Messages from a queue to a handler, with moto's SQS."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from aws import state
from aws.queues import EventSource
from tests.support.waiting import until


@dataclass
class RecordingFunction:
    """A handler that behaves as the test wants, and records its events."""

    name: str = "a function"
    answers: list[object] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    async def invoke(self, event: dict[str, Any]) -> object:
        self.events.append(event)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def bodies(self) -> list[str]:
        return [each["body"] for event in self.events for each in event["Records"]]


@pytest.fixture
def sqs(dynamodb_address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL_SQS": dynamodb_address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)
    client = state.client("sqs", dynamodb_address)
    yield client
    client.close()


@pytest.fixture
def queue(sqs: Any, request: pytest.FixtureRequest) -> str:
    """Return the address of a queue. Messages that are not deleted return at once."""
    name = request.node.name[:60].replace("[", "-").replace("]", "")
    attributes = {"VisibilityTimeout": "0"}
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


@asynccontextmanager
async def polling_source(queue: str, function: RecordingFunction) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        source = EventSource(queue.rpartition("/")[2], function, 10)
        polling = tasks.create_task(source.poll())
        yield
        polling.cancel()


def is_empty(sqs: Any, queue: str) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return {found[name] for name in names} == {"0"}


async def test_what_is_done_is_deleted(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"call": 1}))
    function = RecordingFunction()
    async with polling_source(queue, function):
        await until(lambda: is_empty(sqs, queue))
    [event] = function.events
    [record] = event["Records"]
    assert json.loads(record["body"]) == {"call": 1}
    assert record["eventSource"] == "aws:sqs"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


async def test_what_the_answer_names_comes_again(sqs: Any, queue: str) -> None:
    sent = sqs.send_message(QueueUrl=queue, MessageBody="again")
    failure = {"batchItemFailures": [{"itemIdentifier": sent["MessageId"]}]}
    function = RecordingFunction(answers=[failure])
    async with polling_source(queue, function):
        await until(lambda: is_empty(sqs, queue))
    assert function.bodies == ["again", "again"]


async def test_a_handler_that_raises_gets_its_batch_again(sqs: Any, queue: str) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="again")
    function = RecordingFunction(answers=[RuntimeError("no")])
    async with polling_source(queue, function):
        await until(lambda: is_empty(sqs, queue))
    assert function.bodies == ["again", "again"]


async def test_without_an_address_of_sqs_nothing_is_polled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_SQS", raising=False)
    await EventSource("nowhere", RecordingFunction(), 10).poll()
