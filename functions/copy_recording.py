"""Copies a recording from the carrier to our bucket, so that the webhook which reported it need not
wait. The jobs come from the recordings queue."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from control_plane.batches import attempt_of, process_batch, read
from control_plane.recordings import CopyRecording
from control_plane.services import control_plane, log
from phonebridge.jobs import RetryLater
from phonebridge.observability.log import call_on_every_line


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return process_batch(event, _copy, control_plane().recordings.queue)


def _copy(record: SQSRecord) -> None:
    job = read(record, CopyRecording)
    with call_on_every_line(log, job.call_id):
        try:
            recording = control_plane().recordings.copy(job)
        except RetryLater as error:
            log.warning("recording not copied yet", reason=str(error), attempt=attempt_of(record))
            raise
        log.info("recording dealt with", state=recording.state, problem=recording.problem)
