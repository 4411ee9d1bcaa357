"""Parses Telnyx webhooks into `Webhook`. Verify first (`webhook_signature.py`), then parse.

`call_control.py` builds the commands in the other direction.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from phonebridge.call.call import Call, Leg
from phonebridge.call.events import (
    AnnouncementEnded,
    CallAnswered,
    CallEvent,
    CallHungUp,
    CallInitiated,
)
from phonebridge.call.recording import SavedRecording
from phonebridge.call.transfer import (
    BriefingStarted,
    CallTransferred,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
)
from phonebridge.call.usage import Charge
from phonebridge.errors import MalformedRequest
from phonebridge.observability.log import mask_numbers
from phonebridge.ports import TimelineEntry
from phonebridge.telnyx.tolerant_json import convert, decode
from phonebridge.telnyx.webhook_payloads import PAYLOADS, Payload, unix_ms

MAX_EVENT_ID_LENGTH = 128
"""The id becomes part of a sort key, which may have 1,024 bytes. Telnyx's ids are UUIDs."""
MAX_EVENT_TYPE_LENGTH = 64
MAX_DETAIL_LENGTH = 200
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Webhook:
    """One event of one leg."""

    event_id: str
    event_type: str
    occurred_at_ms: int
    leg: Leg
    client_state: str | None
    event: CallEvent | None
    """The event for the lifecycle. None if the webhook only adds to the timeline."""
    arrival: Call | None
    """The new call, if this is the first webhook of an inbound one."""
    detail: str
    """A phrase for the timeline, without phone numbers."""
    attachment: Charge | SavedRecording | None = None
    """A charge or a recording to add to the record."""
    unreadable: tuple[str, ...] = ()
    """Optional fields whose values could not be read. They count as absent."""


def parse(body: bytes, now_ms: int) -> Webhook:
    """Parse a webhook. A webhook without a credible time is dated now.

    Raises `MalformedRequest` if the body is no webhook of API v2, or does not say what happened to
    which leg.
    """
    try:
        envelope, _ = convert(decode(body), _Envelope)
        data, unreadable = convert(envelope.data, _Event)
        event_type = _normalize_type(data.event_type)
        payload, unread = convert(data.payload, PAYLOADS.get(event_type, Payload))
    except ValueError as error:
        raise MalformedRequest(f"This is not a Telnyx v2 webhook: {error}") from error
    at_ms, time_problem = _time(data.occurred_at, now_ms)
    event_id, problems = _event_id(data.id, envelope), (*unreadable, *time_problem, *unread)
    return _webhook(event_id, event_type[:MAX_EVENT_TYPE_LENGTH], at_ms, payload, problems)


def _webhook(
    event_id: str, event_type: str, at_ms: int, payload: Payload, unreadable: tuple[str, ...]
) -> Webhook:
    event, arrival = payload.event(at_ms), payload.arrival(at_ms)
    _require_ids(event_type, payload, event, arrival)
    return Webhook(
        event_id=event_id,
        event_type=event_type,
        occurred_at_ms=at_ms,
        leg=payload.leg,
        client_state=payload.name,
        event=event,
        arrival=arrival,
        detail=mask_numbers(payload.detail())[:MAX_DETAIL_LENGTH],
        attachment=payload.attachment(),
        unreadable=unreadable,
    )


def entry_of(webhook: Webhook) -> TimelineEntry:
    return TimelineEntry(
        webhook.occurred_at_ms, webhook.event_id, webhook.event_type, webhook.detail
    )


def about_target(webhook: Webhook, transfer: int, is_warm: bool) -> Webhook:
    """Return the webhook as an event of a transfer's target, so that it cannot end the call."""
    target = webhook.leg.call_control_id
    event: CallEvent | None = None
    match webhook.event:
        case CallInitiated():
            event = TargetInitiated(transfer, target)
        case CallAnswered(_, at_ms):
            # Telnyx itself connects the target of a blind transfer with the caller.
            event = TargetAnswered(transfer, target) if is_warm else CallTransferred(at_ms)
        case CallHungUp(_, hangup):
            event = TargetHungUp(transfer, hangup.cause)
        case CallTransferred() as connected:
            event = connected
        case None if webhook.event_type == "call.speak.started":
            event = BriefingStarted(transfer)
        case AnnouncementEnded():
            event = TargetBriefed(transfer)
    detail = f"transfer {transfer}: {webhook.detail}".removesuffix(": ")
    return replace(webhook, event=event, detail=detail)


class _Event(msgspec.Struct):
    event_type: str
    payload: dict[str, Any]
    id: str = ""
    occurred_at: datetime | None = None


class _Envelope(msgspec.Struct):
    data: dict[str, Any]


def _require_ids(
    event_type: str, payload: Payload, event: CallEvent | None, arrival: Call | None
) -> None:
    """Check the ids that the event needs. A new call is answered by its `call_control_id`. A known
    call has it stored."""
    if arrival and not payload.call_control_id:
        raise MalformedRequest(f"{event_type} does not say how to answer the call.")
    if event and not (payload.call_control_id or payload.call_leg_id):
        raise MalformedRequest(f"{event_type} does not say which call it is about.")


def _normalize_type(event_type: str) -> str:
    """Correct the v1 spelling `call_answered`, which some v2 envelopes have."""
    return event_type if "." in event_type else event_type.replace("_", ".")


def _event_id(named: str, envelope: _Envelope) -> str:
    """Return an id that is the same for every delivery of one event. Only `meta` differs between
    deliveries."""
    if named and len(named) <= MAX_EVENT_ID_LENGTH:
        return named
    return sha256(repr(envelope.data).encode()).hexdigest()


def _time(occurred_at: datetime | None, now_ms: int) -> tuple[int, tuple[str, ...]]:
    if occurred_at is None:
        return now_ms, ()
    at_ms = unix_ms(occurred_at)
    if 0 <= at_ms <= now_ms + DAY_MS:
        return at_ms, ()
    return now_ms, ("occurred_at",)
