"""Telnyx webhooks: bytes to `Webhook`. Verify first, then parse.

Their counterpart are the commands in `call_control.py`.
"""

import base64
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import cryptography.exceptions
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from phonebridge.answering import AnsweredBy, DetectionEnded, GreetingEnded
from phonebridge.billing import Charge
from phonebridge.call import Call, Direction, Fault, Hangup, Leg
from phonebridge.call_events import (
    CallAnswered,
    CallArrived,
    CallEvent,
    CallHungUp,
    CallInitiated,
    StreamingFailed,
)
from phonebridge.errors import InvalidSignature, NotConfigured, Unreadable
from phonebridge.log import mask_numbers
from phonebridge.recording import SavedRecording
from phonebridge.transfer import (
    CallTransferred,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
)

TOLERANCE_SECONDS = 300
SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"

_PUBLIC_KEY_BYTES = 32
_INBOUND_CALLS = uuid.UUID("5f0e3f57-64f4-4a4b-8c0f-6f2f5d3f9a1e")
_PLAIN = re.compile(r"[A-Za-z0-9-]{1,64}")
_UNSPECIFIED = "unspecified"


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


def verify(public_key_base64: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> None:
    """Raise `InvalidSignature` unless Telnyx signed this very body within the tolerance: Ed25519
    over timestamp, `|` and raw body (Telnyx, "Webhook fundamentals")."""
    public_key = _public_key(public_key_base64)
    by_name = {name.lower(): value for name, value in headers.items()}
    signature = _header(by_name, SIGNATURE_HEADER)
    timestamp = _header(by_name, TIMESTAMP_HEADER)
    _check_age(timestamp, now_ms)
    try:
        public_key.verify(
            base64.b64decode(signature, validate=True), timestamp.encode() + b"|" + body
        )
    except ValueError as error:
        raise InvalidSignature("The webhook's signature is not base64.") from error
    except cryptography.exceptions.InvalidSignature as error:
        raise InvalidSignature("The webhook's signature does not match its body.") from error


def parse(body: bytes) -> Webhook:
    """Raises `Unreadable` for what is no webhook of API v2."""
    try:
        data = msgspec.json.decode(body, type=_Envelope).data
        event_type = _dotted(data.event_type)
        payload = msgspec.json.decode(data.payload, type=_PAYLOADS.get(event_type, _Payload))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"This is no Telnyx v2 webhook: {error}") from error
    at_ms = _unix_ms(data.occurred_at)
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


def inbound_call_id(leg: Leg) -> str:
    """The same id for every webhook of one inbound leg, however often and in whatever order they
    come."""
    return str(uuid.uuid5(_INBOUND_CALLS, leg.call_leg_id or leg.call_control_id))


def _public_key(public_key_base64: str) -> Ed25519PublicKey:
    try:
        raw = base64.b64decode(public_key_base64, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _PUBLIC_KEY_BYTES:
        raise NotConfigured(
            "TELNYX_PUBLIC_KEY must be the base64 of the account's 32-byte Ed25519 key."
        )
    return Ed25519PublicKey.from_public_bytes(raw)


def _header(by_name: Mapping[str, str], name: str) -> str:
    value = by_name.get(name)
    if not value:
        raise InvalidSignature(f"The webhook has no {name} header.")
    return value


def _check_age(timestamp: str, now_ms: int) -> None:
    try:
        age_ms = now_ms - int(timestamp) * 1000
    except ValueError as error:
        raise InvalidSignature("The webhook's timestamp is no number of seconds.") from error
    if abs(age_ms) > TOLERANCE_SECONDS * 1000:
        raise InvalidSignature(
            f"The webhook was not signed within {TOLERANCE_SECONDS} seconds of now."
        )


class _Payload(msgspec.Struct):
    """What every payload may hold. Any field may be null or missing in practice."""

    call_control_id: str | None = None
    call_leg_id: str | None = None
    call_session_id: str | None = None
    client_state: str | None = None

    @property
    def leg(self) -> Leg:
        return Leg(self.call_control_id or "", self.call_leg_id or "", self.call_session_id or "")

    def event(self, at_ms: int) -> CallEvent | None:
        return None

    def arrival(self, at_ms: int) -> Call | None:
        return None

    def detail(self) -> str:
        return ""

    def enclosed(self) -> Charge | SavedRecording | None:
        return None


class _Initiated(_Payload, rename={"from_": "from"}):
    """Sent for outbound legs too; only `incoming` ones are new to us."""

    direction: str | None = None
    to: str | None = None
    from_: str | None = None

    @property
    def is_incoming(self) -> bool:
        return self.direction == "incoming"

    def event(self, at_ms: int) -> CallEvent:
        return CallArrived(self.leg) if self.is_incoming else CallInitiated(self.leg)

    def arrival(self, at_ms: int) -> Call | None:
        if not self.is_incoming:
            return None
        return Call(
            call_id=inbound_call_id(self.leg),
            direction=Direction.INBOUND,
            to=self.to or "",
            from_=self.from_ or "",
            created_at_ms=at_ms,
        )

    def detail(self) -> str:
        return self.direction or ""


class _Answered(_Payload):
    def event(self, at_ms: int) -> CallEvent:
        return CallAnswered(self.leg, at_ms)


class _Bridged(_Payload):
    def event(self, at_ms: int) -> CallEvent:
        return CallTransferred(at_ms)


class _HungUp(_Payload):
    hangup_cause: str | None = None
    hangup_source: str | None = None
    sip_hangup_cause: str | int | None = None

    def event(self, at_ms: int) -> CallEvent:
        hangup = Hangup(self.hangup_cause or _UNSPECIFIED, self.hangup_source or "unknown", at_ms)
        return CallHungUp(self.leg, hangup)

    def detail(self) -> str:
        return (
            f"{self.hangup_cause or _UNSPECIFIED} by {self.hangup_source or 'unknown'}, "
            f"SIP {self.sip_hangup_cause or _UNSPECIFIED}"
        )


class _StreamingFailed(_Payload):
    failure_reason: str | None = None

    def event(self, at_ms: int) -> CallEvent:
        return StreamingFailed(Fault("streaming_failed", self.detail(), at_ms))

    def detail(self) -> str:
        return self.failure_reason or _UNSPECIFIED


class _Detection(_Payload):
    result: str | None = None

    def detail(self) -> str:
        return self.result or ""


class _CostPart(msgspec.Struct):
    currency: str | None = None


class _Cost(_Payload):
    """Money is text in Telnyx's SDK and a number in its API reference."""

    total_cost: str | float | None = None
    cost_parts: list[_CostPart] | None = None

    def enclosed(self) -> Charge | None:
        try:
            micros = round(float(self.total_cost or "") * 1_000_000)
        except (ValueError, OverflowError):
            return None
        named = (part.currency for part in self.cost_parts or () if part.currency)
        leg_id = self.call_leg_id or self.call_control_id or ""
        return Charge(leg_id, micros, next(named, "USD").upper()) if leg_id else None


class _RecordingSaved(_Payload):
    """Bears neither `from` nor `to`, and may come after the hangup."""

    recording_id: str | None = None
    format: str | None = None
    channels: str | None = None
    recording_urls: dict[str, str | None] | None = None
    recording_started_at: datetime | None = None
    recording_ended_at: datetime | None = None

    def enclosed(self) -> SavedRecording | None:
        urls = {name: url for name, url in (self.recording_urls or {}).items() if url}
        kind = self.format if self.format in urls else next(iter(urls), None)
        # Both become parts of keys.
        if not kind or not _PLAIN.fullmatch(kind) or not _PLAIN.fullmatch(self.recording_id or ""):
            return None
        return SavedRecording(
            recording_id=self.recording_id or "",
            format=kind,
            channels=self.channels or "",
            url=urls[kind],
            duration_ms=self._duration_ms(),
        )

    def _duration_ms(self) -> int | None:
        if not (self.recording_started_at and self.recording_ended_at):
            return None
        return max(0, _unix_ms(self.recording_ended_at) - _unix_ms(self.recording_started_at))


class _DetectionEnded(_Detection):
    def event(self, at_ms: int) -> CallEvent:
        return DetectionEnded(_ANSWERED_BY.get(self.result or "", AnsweredBy.UNSURE))


class _GreetingEnded(_Detection):
    """`not_sure`: the carrier has stopped listening, the machine may still be speaking."""

    def event(self, at_ms: int) -> CallEvent | None:
        return None if self.result == "not_sure" else GreetingEnded()


class _RecordingFailed(_Payload):
    reason: str | None = None

    def detail(self) -> str:
        return self.reason or _UNSPECIFIED


# Of standard and of premium detection; what is neither a human nor a machine stays unsure.
_ANSWERED_BY: Mapping[str, AnsweredBy] = {
    "human": AnsweredBy.HUMAN,
    "human_residence": AnsweredBy.HUMAN,
    "human_business": AnsweredBy.HUMAN,
    "machine": AnsweredBy.MACHINE,
    "fax_detected": AnsweredBy.FAX,
}


class _Event(msgspec.Struct):
    id: str
    event_type: str
    occurred_at: datetime
    payload: msgspec.Raw


class _Envelope(msgspec.Struct):
    data: _Event


_PAYLOADS: Mapping[str, type[_Payload]] = {
    "call.initiated": _Initiated,
    "call.answered": _Answered,
    "call.bridged": _Bridged,
    "call.hangup": _HungUp,
    "streaming.failed": _StreamingFailed,
    "call.recording.saved": _RecordingSaved,
    "call.machine.detection.ended": _DetectionEnded,
    "call.machine.greeting.ended": _GreetingEnded,
    "call.machine.premium.detection.ended": _DetectionEnded,
    "call.machine.premium.greeting.ended": _GreetingEnded,
    "call.machine.premium.call_screening.detected": _Detection,
    "call.recording.error": _RecordingFailed,
    "call.cost": _Cost,
}


def _dotted(event_type: str) -> str:
    """Some v2 envelopes bear the v1 spelling, `call_answered`."""
    return event_type if "." in event_type else event_type.replace("_", ".")


def _unix_ms(moment: datetime) -> int:
    """Telnyx writes UTC with a `Z`; a time without an offset is taken for the same."""
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _decoded(client_state: str | None) -> str | None:
    """None too for a state that another application set and that is no base64 of text."""
    try:
        return base64.b64decode(client_state or "", validate=True).decode() or None
    except ValueError:
        return None
