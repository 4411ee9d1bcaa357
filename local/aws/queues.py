"""SQS event sources on this machine. They poll the queues of template.yaml, pass batches to the
handlers, and delete processed messages (Lambda, "Using Lambda with Amazon SQS")."""

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from anyio.to_thread import run_sync

POLL_SECONDS = 0.5
MAX_BATCH = 10
ATTRIBUTES = ("ApproximateReceiveCount", "SentTimestamp", "ApproximateFirstReceiveTimestamp")

log = logging.getLogger(__name__)


class Invoked(Protocol):
    @property
    def name(self) -> str: ...

    async def invoke(self, event: dict[str, Any]) -> object: ...


@dataclass(frozen=True, slots=True)
class EventSource:
    """A handler and the name of its `queue`."""

    queue: str
    function: Invoked
    batch_size: int

    async def poll(self) -> None:
        """Poll forever. Return at once if no address of SQS is set."""
        if not os.environ.get("AWS_ENDPOINT_URL_SQS"):
            return
        sqs = boto3.client("sqs")
        url = (await run_sync(lambda: sqs.get_queue_url(QueueName=self.queue)))["QueueUrl"]
        while True:
            try:
                found = await run_sync(self._receive, sqs, url)
                if found:
                    await self._hand_over(sqs, url, found)
            except Exception:
                log.exception("the queue %s cannot be read", self.queue)
            await asyncio.sleep(POLL_SECONDS)

    def _receive(self, sqs: Any, url: str) -> list[dict[str, Any]]:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=self.batch_size,
            MessageSystemAttributeNames=[*ATTRIBUTES],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    async def _hand_over(self, sqs: Any, url: str, messages: list[dict[str, Any]]) -> None:
        event = {"Records": [self._record(message) for message in messages]}
        try:
            failed = _failed_ids(await self.function.invoke(event))
        except Exception:
            log.exception("%s raised", self.function.name)
            return
        for message in messages:
            if message["MessageId"] not in failed:
                await run_sync(self._delete, sqs, url, message["ReceiptHandle"])

    def _delete(self, sqs: Any, url: str, receipt_handle: str) -> None:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt_handle)

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{self.queue}",
            "awsRegion": "us-east-1",
        }


def _failed_ids(result: object) -> set[str]:
    """Return the failed messages of a partial batch response. Any other result means that all
    succeeded."""
    failures = result.get("batchItemFailures", []) if isinstance(result, dict) else []
    return {failure["itemIdentifier"] for failure in failures}
