"""How a call ended, read off its facts."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from phonebridge.call.call import FOUND_ENDED, Call, CallStatus, EndedBy, Outcome

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
        FOUND_ENDED: Outcome.CANCELED,
    }
)


def with_outcome(call: Call) -> Call:
    outcome, reason = _verdict(call)
    known = [call.hangup.at_ms] if call.hangup else [call.fault.at_ms] if call.fault else []
    return replace(call, outcome=outcome, reason=reason, ended_at_ms=known[0] if known else None)


def _verdict(call: Call) -> tuple[Outcome, str]:
    if call.fault and not (call.transferred_at_ms is not None and call.hangup):
        return Outcome.FAILED, call.fault.reason
    outcome, reason = _of_conversation(call)
    if call.detection and call.detection.ends_call:
        return Outcome.VOICEMAIL, f"{call.detection.answered_by}_detected"
    if call.detection and call.detection.takes_message:
        return Outcome.VOICEMAIL, reason
    return outcome, reason


def _of_conversation(call: Call) -> tuple[Outcome, str]:
    assert call.hangup is not None, "only a fault or a hangup ends a call"
    cause, source = call.hangup.cause, call.hangup.source
    answered = (call.answered_at_ms, call.streaming_at_ms) != (None, None)
    if call.end_requested_by and answered:
        return Outcome.COMPLETED, call.end_requested_by
    if call.end_requested_by:
        turned_away = call.end_requested_by is EndedBy.UNKNOWN_NUMBER
        return (Outcome.REJECTED if turned_away else Outcome.CANCELED), call.end_requested_by
    if call.transferred_at_ms is not None:
        return Outcome.COMPLETED, CallStatus.TRANSFERRED
    if not answered:
        return _UNANSWERED.get(cause, Outcome.FAILED), cause
    return Outcome.COMPLETED, f"{source}_hung_up" if source in ("caller", "callee") else cause
