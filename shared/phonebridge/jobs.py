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
"""SQS allows twelve hours from the delivery ("Visibility timeout"). The difference covers the time
that the attempt took."""

# Telnyx gives a webhook two seconds.
_CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)


class RetryLater(Exception):
    """The job should be tried again, after the given pause if there is one."""

    def __init__(self, problem: str, pause_seconds: int | None = None) -> None:
        super().__init__(problem)
        self.pause_seconds = pause_seconds


class JobQueue:
    """A queue of jobs of one kind. Without a configured queue, jobs are dropped."""

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
        # Created when it is needed, because few webhooks queue a job.
        return boto3.client("sqs", config=_CONFIG)
