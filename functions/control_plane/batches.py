"""Handles the messages of a queue with Powertools. A failed message is delivered again, up to the
maximum in template.yaml. Only the consumers import this module, because the import takes 36 ms."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    ExceptionInfo,
    FailureResponse,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from control_plane.services import log
from phonebridge.jobs import JobQueue, RetryLater

T = TypeVar("T")


def process_batch(
    event: dict[str, Any], handle: Callable[[SQSRecord], None], queue: JobQueue
) -> dict[str, Any]:
    """Return the handler's result (Lambda, "Partial batch response")."""

    def record_handler(record: SQSRecord) -> None:  # called by these names
        handle(record)

    return {**process_partial_response(event, record_handler, _Processor(queue))}


def read(record: SQSRecord, kind: type[T]) -> T:
    return msgspec.json.decode(record.body, type=kind)


def attempt_of(record: SQSRecord) -> int:
    return int(record.attributes.approximate_receive_count)


class _Processor(BatchProcessor):
    def __init__(self, queue: JobQueue) -> None:
        super().__init__(EventType.SQS, raise_on_entire_batch_failure=False)
        self._queue = queue

    def failure_handler(self, record: SQSRecord, exception: ExceptionInfo) -> FailureResponse:
        error = exception[1]
        if not isinstance(error, RetryLater):
            log.exception("message of a queue FAILED")
        elif error.pause_seconds is not None:
            self._queue.delay(record.receipt_handle, error.pause_seconds)
        return super().failure_handler(record, exception)
