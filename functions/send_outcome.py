"""Tells the user's server that a call has ended: the whole record, signed. Its counterpart is the
queue of outcomes; who verifies the signature finds how in docs/record.md."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from control_plane.batches import attempt_of, process_batch, read
from control_plane.call_record import call_details_of
from control_plane.outcome_webhook import FIRST_LOOK_SECONDS, SendOutcome
from control_plane.services import ControlPlane, control_plane, log
from phonebridge.call.webhook_delivery import WebhookDeliveryState
from phonebridge.errors import UnknownCall, UpstreamFailed
from phonebridge.http.public_client import PublicHttpsClient
from phonebridge.http.signature import derive_secret, sign
from phonebridge.observability.log import call_on_every_line

EVENT_ID_HEADER = "Phonebridge-Event-Id"
TIMEOUT_SECONDS = 15.0
MAX_RESPONSE_BYTES = 65_536
"""Of an answer: only its status is of interest."""


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
        if notice is None or notice.state is WebhookDeliveryState.DELIVERED:
            return
        if not plane.outcome_webhooks.is_complete(record):
            plane.outcome_webhooks.queue.add(job, FIRST_LOOK_SECONDS)
            return
        url = plane.outcome_webhooks.url(record.config.webhook_url)
        problem = _problem(plane, url, notice.event_id, job.call_id)
        if problem:
            log.warning("outcome not delivered", reason=problem, attempt=attempt)
            plane.outcome_webhooks.mark_failed(job.call_id, notice, attempt, problem)
        plane.outcome_webhooks.mark_delivered(job.call_id, notice, attempt)
        log.info("outcome delivered", attempt=attempt)


def _problem(plane: ControlPlane, url: str, event_id: str, call_id: str) -> str:
    """Empty when the server took it."""
    body = _body(plane, event_id, call_id)
    settings = plane.settings
    secret = settings.outcome_webhook_secret or derive_secret(
        settings.stream_token_secret, "outcomes"
    )
    headers = sign(secret, body, plane.now_ms()) | {EVENT_ID_HEADER: event_id}
    try:
        status = asyncio.run(_post(plane, url, headers, body))
    except UpstreamFailed as error:
        return str(error)
    except TimeoutError:
        return f"The server did not answer within {TIMEOUT_SECONDS:.0f} seconds."
    return "" if status // 100 == 2 else f"The server answered {status}."


async def _post(plane: ControlPlane, url: str, headers: dict[str, str], body: bytes) -> int:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        client = PublicHttpsClient(plane.settings.tool_hosts_allowed)
        answer = await client.post(url, headers, body, MAX_RESPONSE_BYTES)
    return answer.status


def _body(plane: ControlPlane, event_id: str, call_id: str) -> bytes:
    call = call_details_of(plane, call_id).model_dump(mode="json", by_alias=True)
    sent_at = datetime.fromtimestamp(plane.now_ms() / 1000, UTC).isoformat()
    event = {"event_id": event_id, "type": "call.ended", "sent_at": sent_at, "call": call}
    return json.dumps(event, separators=(",", ":")).encode()
