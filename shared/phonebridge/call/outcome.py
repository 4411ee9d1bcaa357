"""How a call ended: outcome, reason and time, read off its facts."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from phonebridge.call.call import (
    CLOCK_SKEW_MS,
    FOUND_ENDED,
    Call,
    CallStatus,
    EndedBy,
    Hangup,
    Outcome,
)

UNKNOWN = "unknown"
"""The reason of a call whose end was found, and not reported."""

# `hangup_cause` of a call that was never answered -> outcome. Telnyx's set is open: what is not
# named here failed, with Telnyx's own word as the reason.
_UNANSWERED: Mapping[str, Outcome] = MappingProxyType(
    {
        "user_busy": Outcome.BUSY,
        "call_rejected": Outcome.REJECTED,
        "timeout": Outcome.NO_ANSWER,
        "no_answer": Outcome.NO_ANSWER,
        "originator_cancel": Outcome.CANCELED,
        "normal_clearing": Outcome.CANCELED,
    }
)


def with_outcome(call: Call) -> Call:
    outcome, reason = _verdict(call)
    return replace(call, outcome=outcome, reason=reason, ended_at_ms=_end_ms(call))


def _end_ms(call: Call) -> int | None:
    if call.hangup:
        return call.hangup.at_ms
    return call.fault.at_ms if call.fault else call.end_requested_at_ms


def _verdict(call: Call) -> tuple[Outcome, str]:
    if call.fault and not (call.transferred_at_ms is not None and call.hangup):
        return Outcome.FAILED, call.fault.reason
    if call.is_browser_call:
        assert call.end_requested_by is not None, "only a fault or a request ends a browser call"
        has_talked = call.streaming_at_ms is not None
        return (Outcome.COMPLETED if has_talked else Outcome.CANCELED), call.end_requested_by
    outcome, reason = _of_conversation(call)
    if call.detection and call.detection.ends_call:
        return Outcome.VOICEMAIL, f"{call.detection.answered_by}_detected"
    if call.detection and call.detection.takes_message:
        return Outcome.VOICEMAIL, reason
    return outcome, reason


def _of_conversation(call: Call) -> tuple[Outcome, str]:
    assert call.hangup is not None, "only a fault or a hangup ends a call"
    answered = (call.answered_at_ms, call.streaming_at_ms) != (None, None)
    if requested_by := _end_requested_in_time(call):
        if answered:
            return Outcome.COMPLETED, requested_by
        turned_away = requested_by is EndedBy.UNKNOWN_NUMBER
        return (Outcome.REJECTED if turned_away else Outcome.CANCELED), requested_by
    if call.transferred_at_ms is not None:
        return Outcome.COMPLETED, CallStatus.TRANSFERRED
    return _of_hangup(call.hangup, answered)


def _end_requested_in_time(call: Call) -> EndedBy | None:
    """Return who requested the end before the leg was hung up. Later requests have ended
    nothing."""
    assert call.hangup is not None, "asked only of a call that has one"
    at_ms = call.end_requested_at_ms
    in_time = at_ms is not None and at_ms <= call.hangup.at_ms + CLOCK_SKEW_MS
    return call.end_requested_by if in_time else None


def _of_hangup(hangup: Hangup, answered: bool) -> tuple[Outcome, str]:
    if hangup.cause == FOUND_ENDED:
        # Nothing tells who ended the call, or why.
        return (Outcome.COMPLETED if answered else Outcome.FAILED), UNKNOWN
    if not answered:
        return _UNANSWERED.get(hangup.cause, Outcome.FAILED), hangup.cause
    named = hangup.source in ("caller", "callee")
    return Outcome.COMPLETED, f"{hangup.source}_hung_up" if named else hangup.cause
