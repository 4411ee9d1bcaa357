"""What Telnyx tells in its webhooks, by the type of event, and what that means to a call."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

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
from phonebridge.recording import SavedRecording
from phonebridge.transfer import (
    CallTransferred,
)

_INBOUND_CALLS = uuid.UUID("5f0e3f57-64f4-4a4b-8c0f-6f2f5d3f9a1e")
_PLAIN = re.compile(r"[A-Za-z0-9-]{1,64}")
_UNSPECIFIED = "unspecified"


class Payload(msgspec.Struct):
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


class _Initiated(Payload, rename={"from_": "from"}):
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


class _Answered(Payload):
    def event(self, at_ms: int) -> CallEvent:
        return CallAnswered(self.leg, at_ms)


class _Bridged(Payload):
    def event(self, at_ms: int) -> CallEvent:
        return CallTransferred(at_ms)


class _HungUp(Payload):
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


class _StreamingFailed(Payload):
    failure_reason: str | None = None

    def event(self, at_ms: int) -> CallEvent:
        return StreamingFailed(Fault("streaming_failed", self.detail(), at_ms))

    def detail(self) -> str:
        return self.failure_reason or _UNSPECIFIED


class _Detection(Payload):
    result: str | None = None

    def detail(self) -> str:
        return self.result or ""


class _CostPart(msgspec.Struct):
    currency: str | None = None


class _Cost(Payload):
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


class _RecordingSaved(Payload):
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
        return max(0, unix_ms(self.recording_ended_at) - unix_ms(self.recording_started_at))


class _DetectionEnded(_Detection):
    def event(self, at_ms: int) -> CallEvent:
        return DetectionEnded(_ANSWERED_BY.get(self.result or "", AnsweredBy.UNSURE))


class _GreetingEnded(_Detection):
    """`not_sure`: the carrier has stopped listening, the machine may still be speaking."""

    def event(self, at_ms: int) -> CallEvent | None:
        return None if self.result == "not_sure" else GreetingEnded()


class _RecordingFailed(Payload):
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


PAYLOADS: Mapping[str, type[Payload]] = {
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


def inbound_call_id(leg: Leg) -> str:
    """The same id for every webhook of one inbound leg, however often and in whatever order they
    come."""
    return str(uuid.uuid5(_INBOUND_CALLS, leg.call_leg_id or leg.call_control_id))


def unix_ms(moment: datetime) -> int:
    """Telnyx writes UTC with a `Z`; a time without an offset is taken for the same."""
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
