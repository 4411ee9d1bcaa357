"""Payloads of Telnyx webhooks by type, and the lifecycle events that they cause."""

import base64
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from phonebridge.call.call import MAX_STREAM_NUMBER, Call, Direction, Fault, Hangup, Leg
from phonebridge.call.events import (
    AnnouncementEnded,
    CallAnswered,
    CallArrived,
    CallEvent,
    CallHungUp,
    CallInitiated,
    StreamingFailed,
    StreamingStopped,
)
from phonebridge.call.machine_detection import AnsweredBy, DetectionEnded, GreetingEnded
from phonebridge.call.recording import SavedRecording
from phonebridge.call.transfer import CallTransferred
from phonebridge.call.usage import Charge
from phonebridge.telnyx.leg_name import call_and_announcement
from phonebridge.telnyx.tolerant_json import text_of

MAX_ID_LENGTH = 256
"""Ids become keys of the table, which may have 2,048 bytes. Telnyx's ids are shorter than 100."""
MAX_WORD_LENGTH = 64
MAX_ADDRESS_LENGTH = 255
MAX_URL_LENGTH = 8_192
MAX_CHARGE_MICROS = 10**12

Id = Annotated[str, msgspec.Meta(max_length=MAX_ID_LENGTH)]

_INBOUND_CALLS = uuid.UUID("5f0e3f57-64f4-4a4b-8c0f-6f2f5d3f9a1e")
_PLAIN = re.compile(r"[A-Za-z0-9-]{1,64}")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_UNSPECIFIED = "unspecified"


class Payload(msgspec.Struct):
    """Fields that any payload may have. Each may be null, missing, or of another type."""

    call_control_id: Id = ""
    call_leg_id: Id = ""
    call_session_id: Id = ""
    client_state: str = ""

    @property
    def name(self) -> str | None:
        """The decoded `client_state`. None if another application set it and it is no base64 of
        text."""
        try:
            return base64.b64decode(self.client_state, validate=True).decode() or None
        except ValueError:
            return None

    @property
    def leg(self) -> Leg:
        return Leg(self.call_control_id, self.call_leg_id, self.call_session_id)

    def event(self, at_ms: int) -> CallEvent | None:
        return None

    def arrival(self, at_ms: int) -> Call | None:
        return None

    def detail(self) -> str:
        return ""

    def attachment(self) -> Charge | SavedRecording | None:
        return None


class _Initiated(Payload, rename={"from_": "from"}):
    """Telnyx sends it for outbound legs too. Only `incoming` legs are new to us."""

    direction: str = ""
    state: str = ""
    to: str = ""
    from_: str = ""

    @property
    def is_incoming(self) -> bool:
        """An inbound leg has the state `parked`, an outbound leg `bridging`."""
        return (self.direction or self.state) in ("incoming", "parked")

    def event(self, at_ms: int) -> CallEvent:
        return CallArrived(self.leg) if self.is_incoming else CallInitiated(self.leg)

    def arrival(self, at_ms: int) -> Call | None:
        if not self.is_incoming:
            return None
        return Call(
            call_id=inbound_call_id(self.leg),
            direction=Direction.INBOUND,
            to=self.to[:MAX_ADDRESS_LENGTH],
            from_=self.from_[:MAX_ADDRESS_LENGTH],
            created_at_ms=at_ms,
        )

    def detail(self) -> str:
        return self.direction


class _Answered(Payload):
    def event(self, at_ms: int) -> CallEvent:
        return CallAnswered(self.leg, at_ms)


class _Bridged(Payload):
    def event(self, at_ms: int) -> CallEvent:
        return CallTransferred(at_ms)


class _HungUp(Payload):
    hangup_cause: str = ""
    hangup_source: str = ""
    sip_hangup_cause: str | int | float = ""

    def event(self, at_ms: int) -> CallEvent:
        return CallHungUp(self.leg, Hangup(*self._cause_and_source(), at_ms))

    def detail(self) -> str:
        cause, source = self._cause_and_source()
        sip = text_of(self.sip_hangup_cause) or _UNSPECIFIED
        return f"{cause} by {source}, SIP {sip}"

    def _cause_and_source(self) -> tuple[str, str]:
        cause, source = self.hangup_cause or _UNSPECIFIED, self.hangup_source or "unknown"
        return cause[:MAX_WORD_LENGTH], source[:MAX_WORD_LENGTH]


_STREAM_NUMBERS = frozenset(str(number) for number in range(1, MAX_STREAM_NUMBER + 1))


class _StreamParams(msgspec.Struct):
    stream_url: str = ""


class _StreamingFailed(Payload):
    failure_reason: str = ""
    stream_params: _StreamParams | None = None

    def event(self, at_ms: int) -> CallEvent:
        fault = Fault("streaming_failed", self.detail()[:MAX_WORD_LENGTH], at_ms)
        return StreamingFailed(fault, self._stream_number())

    def detail(self) -> str:
        return self.failure_reason or _UNSPECIFIED

    def _stream_number(self) -> int:
        return _stream_number(self.stream_params.stream_url if self.stream_params else "")


class _StreamingStopped(Payload):
    """It names neither the stream's id nor a reason."""

    stream_url: str = ""

    def event(self, at_ms: int) -> CallEvent:
        return StreamingStopped(_stream_number(self.stream_url))


def _stream_number(url: str) -> int:
    """The last part of the URL that we gave it; without one, it can only be the first."""
    number = url.rpartition("/")[2]
    return int(number) if number in _STREAM_NUMBERS else 1


class _Detection(Payload):
    result: str = ""

    def detail(self) -> str:
        return self.result


class _Cost(Payload):
    """Money is text in Telnyx's SDK and a number in its API reference."""

    total_cost: str | int | float = ""
    cost_parts: list[Any] = []

    def attachment(self) -> Charge | None:
        try:
            micros = round(float(self.total_cost) * 1_000_000)
        except (ValueError, OverflowError):
            return None
        leg_id = self.call_leg_id or self.call_control_id
        if not leg_id or abs(micros) > MAX_CHARGE_MICROS:
            return None
        return Charge(leg_id, micros, self._currency())

    def _currency(self) -> str:
        named = (part.get("currency") for part in self.cost_parts if isinstance(part, dict))
        known = (name for name in named if isinstance(name, str) and _CURRENCY.fullmatch(name))
        return next(known, "USD").upper()


class _RecordingSaved(Payload):
    """It has neither `from` nor `to`, and may come after the hangup."""

    recording_id: str = ""
    format: str = ""
    channels: str = ""
    recording_urls: dict[str, Any] = {}
    recording_started_at: datetime | None = None
    recording_ended_at: datetime | None = None

    def attachment(self) -> SavedRecording | None:
        urls = {name: url for name, url in self.recording_urls.items() if _is_url(url)}
        kind = self.format if self.format in urls else next(iter(urls), "")
        # Both become parts of keys.
        if not (_PLAIN.fullmatch(kind) and _PLAIN.fullmatch(self.recording_id)):
            return None
        return SavedRecording(
            recording_id=self.recording_id,
            format=kind,
            channels=self.channels[:MAX_WORD_LENGTH],
            url=urls[kind],
            duration_ms=self._duration_ms(),
        )

    def _duration_ms(self) -> int | None:
        if not (self.recording_started_at and self.recording_ended_at):
            return None
        return max(0, unix_ms(self.recording_ended_at) - unix_ms(self.recording_started_at))


class _DetectionEnded(_Detection):
    def event(self, at_ms: int) -> CallEvent:
        return DetectionEnded(_ANSWERED_BY.get(self.result, AnsweredBy.UNSURE))


class _GreetingEnded(_Detection):
    """`not_sure` means that the carrier stopped listening while the machine may still be
    speaking."""

    def event(self, at_ms: int) -> CallEvent | None:
        return None if self.result == "not_sure" else GreetingEnded()


class _SpeakEnded(Payload):
    def event(self, at_ms: int) -> CallEvent:
        return AnnouncementEnded(call_and_announcement(self.name or "")[1])


class _RecordingFailed(Payload):
    reason: str = ""

    def detail(self) -> str:
        return self.reason or _UNSPECIFIED


# Results of standard and premium detection. Everything that is neither human nor machine is unsure.
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
    "streaming.stopped": _StreamingStopped,
    "call.speak.ended": _SpeakEnded,
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
    """Return the same id for every webhook of an inbound leg, in whatever number and order they
    come."""
    return str(uuid.uuid5(_INBOUND_CALLS, leg.call_leg_id or leg.call_control_id))


def unix_ms(moment: datetime) -> int:
    """Convert a time of Telnyx, which is UTC with a `Z`. A time without an offset is also read as
    UTC."""
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _is_url(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_URL_LENGTH
