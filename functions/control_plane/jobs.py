"""Asynchronous jobs: messages in SQS queues, handled at least once (`batches.py`)."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
from botocore.config import Config

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_DELAY_SECONDS = 900
MAX_PAUSE_SECONDS = 43_000
"""Twelve hours less what it took to find out: SQS counts from the delivery, and refuses what is
beyond ("Visibility timeout")."""

# Telnyx gives a webhook two seconds.
_CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)


class RetryLater(Exception):
    """The errand is to be tried again, after a pause if one is named."""

    def __init__(self, problem: str, pause_seconds: int | None = None) -> None:
        super().__init__(problem)
        self.pause_seconds = pause_seconds


class JobQueue:
    """Of one kind; without a queue there are none."""

    def __init__(self, queue_url: str) -> None:
        self._queue_url = queue_url

    def add(self, job: "DataclassInstance", delay_seconds: int = 0) -> None:
        if self._queue_url:
            self._sqs.send_message(
                QueueUrl=self._queue_url,
                MessageBody=msgspec.json.encode(job).decode(),
                DelaySeconds=min(delay_seconds, MAX_DELAY_SECONDS),
            )

    def delay(self, receipt_handle: str, seconds: int) -> None:
        self._sqs.change_message_visibility(
            QueueUrl=self._queue_url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=min(seconds, MAX_PAUSE_SECONDS),
        )

    @cached_property
    def _sqs(self) -> Any:
        # Made when it is needed: few webhooks have an errand.
        return boto3.client("sqs", config=_CONFIG)
