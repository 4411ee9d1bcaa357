"""Copies a recording from the carrier into our bucket; the webhook that told of it waits for
nothing. Its counterpart is the queue of recordings."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from batches import attempt_of, process_batch, read
from control_plane import control_plane, log
from errands import NotNow
from phonebridge.log import call_on_every_line
from recordings import CopyRecording


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return process_batch(event, _copy, control_plane().recordings.errands)


def _copy(record: SQSRecord) -> None:
    errand = read(record, CopyRecording)
    with call_on_every_line(log, errand.call_id):
        try:
            recording = control_plane().recordings.copy(errand)
        except NotNow as error:
            log.warning("recording not copied yet", reason=str(error), attempt=attempt_of(record))
            raise
        log.info("recording dealt with", state=recording.state, problem=recording.problem)
