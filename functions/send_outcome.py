"""Reports the end of a call to the user's server: the whole record, signed. The jobs come from the
outcomes queue."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from control_plane.batches import attempt_of, process_batch, read
from control_plane.outcome_request import post_outcome
from control_plane.services import control_plane, log
from phonebridge.call.webhook_delivery import WebhookDeliveryState
from phonebridge.errors import UnknownCall
from phonebridge.observability.log import call_on_every_line
from phonebridge.outcomes import FIRST_LOOK_SECONDS, SendOutcome


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return process_batch(event, _send, control_plane().outcome_webhooks.queue)


def _send(message: SQSRecord) -> None:
    plane, attempt = control_plane(), attempt_of(message)
    job = read(message, SendOutcome)
    with call_on_every_line(log, job.call_id):
        try:
            record = plane.record(job.call_id)
        except UnknownCall:
            return
        notice = record.webhook_delivery
        if notice is None or notice.job != job.job:
            return  # another job delivers
        if notice.state is WebhookDeliveryState.DELIVERED:
            return
        if not plane.outcome_webhooks.is_complete(record):
            plane.outcome_webhooks.queue.add(job, FIRST_LOOK_SECONDS)
            return
        url = plane.outcome_webhooks.url(record.config.webhook_url)
        problem = post_outcome(plane, url, notice.event_id, job.call_id)
        if problem:
            log.warning("outcome not delivered", reason=problem, attempt=attempt)
            plane.outcome_webhooks.mark_failed(job.call_id, notice, attempt, problem)
        plane.outcome_webhooks.mark_delivered(job.call_id, notice, attempt)
        log.info("outcome delivered", attempt=attempt)
