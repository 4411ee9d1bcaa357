"""Tells the user's server that a call has ended: the whole record, signed. Its counterpart is the
queue of outcomes; who verifies the signature finds how in docs/record.md."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from batches import attempt_of, process_batch, read
from call_records import whole_call
from control_plane import ControlPlane, control_plane, log
from outcomes import FIRST_LOOK_SECONDS, SendOutcome
from phonebridge.errors import ServerFailed, UnknownCall
from phonebridge.https_client import HttpsClient
from phonebridge.log import call_on_every_line
from phonebridge.notice import NoticeState
from phonebridge.signature import derived_secret, signed

EVENT_ID_HEADER = "Phonebridge-Event-Id"
PATIENCE_SECONDS = 15.0
MOST_BYTES = 65_536
"""Of an answer: only its status is of interest."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return process_batch(event, _send, control_plane().outcomes.errands)


def _send(message: SQSRecord) -> None:
    plane, attempt = control_plane(), attempt_of(message)
    errand = read(message, SendOutcome)
    with call_on_every_line(log, errand.call_id):
        try:
            record = plane.record(errand.call_id)
        except UnknownCall:
            return
        notice = record.notice
        if notice is None or notice.state is NoticeState.DELIVERED:
            return
        if not plane.outcomes.is_complete(record):
            plane.outcomes.errands.add(errand, FIRST_LOOK_SECONDS)
            return
        url = plane.outcomes.url(record.config.webhook_url)
        problem = _problem(plane, url, notice.event_id, errand.call_id)
        if problem:
            log.warning("outcome not delivered", reason=problem, attempt=attempt)
            plane.outcomes.failed(errand.call_id, notice, attempt, problem)
        plane.outcomes.delivered(errand.call_id, notice, attempt)
        log.info("outcome delivered", attempt=attempt)


def _problem(plane: ControlPlane, url: str, event_id: str, call_id: str) -> str:
    """Empty when the server took it."""
    body = _body(plane, event_id, call_id)
    settings = plane.settings
    secret = settings.outcome_webhook_secret or derived_secret(
        settings.stream_token_secret, "outcomes"
    )
    headers = signed(secret, body, plane.now_ms()) | {EVENT_ID_HEADER: event_id}
    try:
        status = asyncio.run(_post(plane, url, headers, body))
    except ServerFailed as error:
        return str(error)
    except TimeoutError:
        return f"The server did not answer within {PATIENCE_SECONDS:.0f} seconds."
    return "" if status // 100 == 2 else f"The server answered {status}."


async def _post(plane: ControlPlane, url: str, headers: dict[str, str], body: bytes) -> int:
    async with asyncio.timeout(PATIENCE_SECONDS):
        client = HttpsClient(plane.settings.tool_hosts_allowed)
        answer = await client.post(url, headers, body, MOST_BYTES)
    return answer.status


def _body(plane: ControlPlane, event_id: str, call_id: str) -> bytes:
    call = whole_call(plane, call_id).model_dump(mode="json", by_alias=True)
    sent_at = datetime.fromtimestamp(plane.now_ms() / 1000, UTC).isoformat()
    event = {"event_id": event_id, "type": "call.ended", "sent_at": sent_at, "call": call}
    return json.dumps(event, separators=(",", ":")).encode()
