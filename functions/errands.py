"""What is done while nobody waits for it: messages in SQS queues, delivered at least once, and
again until they are done or have been tried too often (template.yaml)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import msgspec
from botocore.config import Config

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

LONGEST_DELAY_SECONDS = 900
LONGEST_PAUSE_SECONDS = 43_000
"""Twelve hours less what it took to find out: SQS counts from the delivery, and refuses what is
beyond ("Visibility timeout")."""

# Telnyx gives a webhook two seconds.
_CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)


class NotNow(Exception):
    """The errand is to be tried again, after a pause if one is named."""

    def __init__(self, problem: str, pause_seconds: int | None = None) -> None:
        super().__init__(problem)
        self.pause_seconds = pause_seconds


class Errands:
    """Of one kind; without a queue there are none."""

    def __init__(self, queue_url: str) -> None:
        self._queue_url = queue_url

    def add(self, errand: "DataclassInstance", delay_seconds: int = 0) -> None:
        if self._queue_url:
            self._sqs.send_message(
                QueueUrl=self._queue_url,
                MessageBody=msgspec.json.encode(errand).decode(),
                DelaySeconds=min(delay_seconds, LONGEST_DELAY_SECONDS),
            )

    def put_off(self, delivery: "Delivery", seconds: int) -> None:
        self._sqs.change_message_visibility(
            QueueUrl=self._queue_url,
            ReceiptHandle=delivery.receipt_handle,
            VisibilityTimeout=min(seconds, LONGEST_PAUSE_SECONDS),
        )

    @cached_property
    def _sqs(self) -> Any:
        # Made when it is needed: few webhooks have an errand.
        return boto3.client("sqs", config=_CONFIG)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of an SQS event."""

    message_id: str
    receipt_handle: str
    body: str
    attempt: int

    def errand(self, kind: type[T]) -> T:
        return msgspec.json.decode(self.body, type=kind)


def delivered(event: Mapping[str, Any]) -> list[Delivery]:
    return [
        Delivery(
            each["messageId"],
            each["receiptHandle"],
            each["body"],
            int(each["attributes"]["ApproximateReceiveCount"]),
        )
        for each in event["Records"]
    ]


def carried_out(
    event: Mapping[str, Any], carry_out: Callable[[Delivery], None], errands: Errands
) -> dict[str, list[dict[str, str]]]:
    """The answer of a handler (Lambda, "Partial batch response"): what it names is tried again."""
    left: list[Delivery] = []
    for delivery in delivered(event):
        try:
            carry_out(delivery)
        except NotNow as error:
            left.append(delivery)
            if error.pause_seconds is not None:
                errands.put_off(delivery, error.pause_seconds)
    return failures(left)


def failures(left: Iterable[Delivery]) -> dict[str, list[dict[str, str]]]:
    return {"batchItemFailures": [{"itemIdentifier": each.message_id} for each in left]}
