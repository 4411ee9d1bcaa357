"""Telnyx webhooks: bytes to `Webhook`. Verify first (`webhook_signature.py`), then parse.

Their counterpart are the commands in `call_control.py`.
"""

import base64
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from phonebridge.billing import Charge
from phonebridge.call import Call, Leg
from phonebridge.call_events import CallAnswered, CallEvent, CallHungUp, CallInitiated
from phonebridge.errors import Unreadable
from phonebridge.log import mask_numbers
from phonebridge.recording import SavedRecording
from phonebridge.telnyx.webhook_payloads import PAYLOADS, Payload, unix_ms
from phonebridge.transfer import (
    CallTransferred,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """What Telnyx tells about one leg."""

    event_id: str
    event_type: str
    occurred_at_ms: int
    leg: Leg
    client_state: str | None
    event: CallEvent | None
    """What it means to a call; None for what only the timeline wants to know."""
    arrival: Call | None
    """The call to be born, when this is the first word of an inbound one."""
    detail: str
    """One phrase for the timeline, without phone numbers."""
    enclosed: Charge | SavedRecording | None = None
    """What it brings to the record besides."""


def parse(body: bytes) -> Webhook:
    """Raises `Unreadable` for what is no webhook of API v2."""
    try:
        data = msgspec.json.decode(body, type=_Envelope).data
        event_type = _dotted(data.event_type)
        payload = msgspec.json.decode(data.payload, type=PAYLOADS.get(event_type, Payload))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"This is no Telnyx v2 webhook: {error}") from error
    at_ms = unix_ms(data.occurred_at)
    event = payload.event(at_ms)
    if event and not payload.call_control_id:
        raise Unreadable(f"{event_type} does not say which call it is about.")
    return Webhook(
        event_id=data.id,
        event_type=event_type,
        occurred_at_ms=at_ms,
        leg=payload.leg,
        client_state=_decoded(payload.client_state),
        event=event,
        arrival=payload.arrival(at_ms),
        detail=mask_numbers(payload.detail()),
        enclosed=payload.enclosed(),
    )


def about_target(webhook: Webhook, transfer: int, is_warm: bool) -> Webhook:
    """The same as told of the leg of a transfer's target: nothing of it may end the call."""
    target = webhook.leg.call_control_id
    event: CallEvent | None = None
    match webhook.event:
        case CallInitiated():
            event = TargetInitiated(transfer, target)
        case CallAnswered(_, at_ms):
            # Telnyx connects a blind transfer's target with the caller by itself.
            event = TargetAnswered(transfer, target) if is_warm else CallTransferred(at_ms)
        case CallHungUp(_, hangup):
            event = TargetHungUp(transfer, hangup.cause)
        case CallTransferred() as connected:
            event = connected
        case None if webhook.event_type == "call.speak.ended":
            event = TargetBriefed(transfer)
    detail = f"transfer {transfer}: {webhook.detail}".removesuffix(": ")
    return replace(webhook, event=event, detail=detail)


class _Event(msgspec.Struct):
    id: str
    event_type: str
    occurred_at: datetime
    payload: msgspec.Raw


class _Envelope(msgspec.Struct):
    data: _Event


def _dotted(event_type: str) -> str:
    """Some v2 envelopes bear the v1 spelling, `call_answered`."""
    return event_type if "." in event_type else event_type.replace("_", ".")


def _decoded(client_state: str | None) -> str | None:
    """None too for a state that another application set and that is no base64 of text."""
    try:
        return base64.b64decode(client_state or "", validate=True).decode() or None
    except ValueError:
        return None
