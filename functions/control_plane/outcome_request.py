"""The request that reports the end of a call to the user's server: the whole record, signed.
docs/record.md explains how to verify the signature."""

import asyncio
import json
from datetime import UTC, datetime

from control_plane.call_record import call_details_of
from control_plane.services import ControlPlane
from phonebridge.errors import UpstreamFailed
from phonebridge.http.public_client import PublicHttpsClient
from phonebridge.http.signature import derive_secret, sign

EVENT_ID_HEADER = "Phonebridge-Event-Id"
TIMEOUT_SECONDS = 15.0
MAX_RESPONSE_BYTES = 65_536
"""Maximum size of a response. Only its status matters."""


def post_outcome(plane: ControlPlane, url: str, event_id: str, call_id: str) -> str:
    """Send the outcome. Return the problem, or an empty text if the server accepted it."""
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
