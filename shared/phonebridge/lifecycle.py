"""The life of a call: one table, one pure function.

Webhooks arrive late, twice and in any order, so a call is a set of facts that only grow: what was
answered when, who hung up, what failed. Each event adds its fact, whatever the status; the table
moves the status forward, never back; outcome, reason and end are read off the facts alone. Hence
every order of the same events ends in the same record. Commands are asked for by the move itself,
so an event that changes nothing asks for nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from phonebridge.call import (
    Answer,
    Call,
    CallAnswered,
    CallArrived,
    CallCommand,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallInitiated,
    CallRequested,
    CallStatus,
    CallTurnedAway,
    Dial,
    DialAccepted,
    EarlyStream,
    EndedBy,
    EndRequested,
    Fault,
    FirstStreamFailed,
    HangUp,
    Hangup,
    LegOutlivedCall,
    MediaAttached,
    MediaEvent,
    MediaReported,
    MediaStarted,
    Outcome,
    Reject,
    StartStreaming,
    StreamingFailed,
)
from phonebridge.errors import InvalidTransition

_S = CallStatus

TRANSITIONS: Mapping[CallStatus, Mapping[type[CallEvent], CallStatus]] = MappingProxyType(
    {
        _S.CREATED: {
            CallRequested: _S.DIALING,
            CallArrived: _S.INCOMING,
            CallTurnedAway: _S.INCOMING,
        },
        _S.DIALING: {
            DialAccepted: _S.DIALING,
            CallInitiated: _S.DIALING,
            EndRequested: _S.DIALING,
            MediaAttached: _S.DIALING,
            MediaReported: _S.DIALING,
            FirstStreamFailed: _S.DIALING,
            CallAnswered: _S.ANSWERED,
            MediaStarted: _S.STREAMING,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.INCOMING: {
            CallArrived: _S.INCOMING,
            EndRequested: _S.INCOMING,
            FirstStreamFailed: _S.INCOMING,
            CallAnswered: _S.ANSWERED,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.ANSWERED: {
            CallArrived: _S.ANSWERED,
            DialAccepted: _S.ANSWERED,
            CallInitiated: _S.ANSWERED,
            CallAnswered: _S.ANSWERED,
            EndRequested: _S.ANSWERED,
            MediaReported: _S.ANSWERED,
            FirstStreamFailed: _S.ANSWERED,
            MediaAttached: _S.STREAMING,
            MediaStarted: _S.STREAMING,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.STREAMING: {
            CallArrived: _S.STREAMING,
            DialAccepted: _S.STREAMING,
            CallInitiated: _S.STREAMING,
            CallAnswered: _S.STREAMING,
            EndRequested: _S.STREAMING,
            MediaAttached: _S.STREAMING,
            MediaStarted: _S.STREAMING,
            MediaReported: _S.STREAMING,
            FirstStreamFailed: _S.STREAMING,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.ENDED: {
            CallArrived: _S.ENDED,
            DialAccepted: _S.ENDED,
            CallInitiated: _S.ENDED,
            CallAnswered: _S.ENDED,
            EndRequested: _S.ENDED,
            MediaStarted: _S.ENDED,
            MediaReported: _S.ENDED,
            FirstStreamFailed: _S.ENDED,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
            LegOutlivedCall: _S.ENDED,
        },
    }
)

FOUND_ENDED = "found_ended"
"""Cause of a hangup that we learn only from a refused command (90018): any webhook knows better."""

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


def advance(call: Call, event: CallEvent) -> tuple[Call, tuple[CallCommand, ...]]:
    """What the event makes of the call, and what the call asks for because of it.

    A call that comes back equal has nothing to save. Raises `InvalidTransition` for an event that
    the table does not name in that status.
    """
    event = _told_apart(call, event)
    row = TRANSITIONS[call.status]
    if type(event) not in row:
        raise InvalidTransition(
            f"{type(event).__name__} cannot happen to call {call.call_id}, which is {call.status}."
        )
    # Once a call has ended, what we failed at or asked for changes nothing: a socket that breaks
    # because the caller hung up is no fault. The carrier's facts count whenever they come.
    is_late = call.status is CallStatus.ENDED and isinstance(event, CallFailed | EndRequested)
    moved = replace(call if is_late else _add_fact(call, event), status=row[type(event)])
    if moved.status is CallStatus.ENDED:
        moved = _concluded(moved)
    moved, commands = _asked_for(call, moved, event)
    if moved != call:
        moved = replace(moved, version=call.version + 1)
    return moved, commands


def _told_apart(call: Call, event: CallEvent) -> CallEvent:
    """Telnyx does not say which stream of a call failed: the first failure is the first one's.
    Its container was full, or about to end; the second may find another. But a stream that carried
    the call takes it along."""
    if not isinstance(event, StreamingFailed) or _has_carried(call):
        return event
    return FirstStreamFailed(event.fault) if call.stream_fault in (None, event.fault) else event


def _has_carried(call: Call) -> bool:
    return call.attached_stream == 1 and not call.early_stream


def _add_fact(call: Call, event: CallEvent) -> Call:
    match event:
        case CallArrived(leg) | CallTurnedAway(leg) | CallInitiated(leg):
            return replace(call, leg=leg)
        case DialAccepted(leg):
            # Webhooks may come before the dial's answer, and may name another id than it does:
            # theirs is the one that lives on.
            return call if call.leg else replace(call, leg=leg)
        case CallAnswered(leg, at_ms):
            return replace(call, leg=leg, answered_at_ms=_earliest(call.answered_at_ms, at_ms))
        case CallHungUp(leg, hangup):
            return replace(call, leg=leg, hangup=_first_hangup(call.hangup, hangup))
        case CallFailed(fault):
            return replace(call, fault=_first_fault(call.fault, fault))
        case EndRequested(by):
            return replace(call, end_requested_by=call.end_requested_by or by)
        case LegOutlivedCall():
            return call
        case _:
            return _add_fact_of_media(call, event)


def _add_fact_of_media(call: Call, event: MediaEvent | CallRequested) -> Call:
    match event:
        case CallRequested(with_stream):
            early = EarlyStream() if with_stream else None
            return replace(call, early_stream=early, stream_number=int(with_stream))
        case MediaAttached():
            return _attached(call, event)
        case MediaStarted(at_ms):
            return replace(call, streaming_at_ms=_earliest(call.streaming_at_ms, at_ms))
        case MediaReported():
            return _reported(call, event)
        case StreamingFailed(fault):
            return _streaming_failed(call, fault)
        case FirstStreamFailed(fault):
            return replace(call, stream_fault=fault)


def _attached(call: Call, event: MediaAttached) -> Call:
    if not call.attached_stream < event.stream_number <= call.stream_number:
        raise InvalidTransition(
            f"Stream {event.stream_number} of call {call.call_id} was used before or never opened."
        )
    attached = replace(call, attached_stream=event.stream_number, owner_task=event.task_id)
    if call.early_stream and event.stream_number == 1:
        return attached  # its media begin when somebody answers (`MediaStarted`)
    return replace(attached, streaming_at_ms=_earliest(call.streaming_at_ms, event.at_ms))


def _reported(call: Call, report: MediaReported) -> Call:
    """Usage adds up: of a stream that never began and of the one that took its place."""
    reported = replace(call, activity=report.activity, usage=call.usage + report.usage)
    if call.early_stream and not report.started:
        return replace(reported, early_stream=EarlyStream(left=True))
    return reported


def _streaming_failed(call: Call, fault: Fault) -> Call:
    """Of several failures the earliest is the first stream's, whichever is heard of first."""
    first = call.stream_fault
    if first:
        first, fault = sorted((first, fault), key=_age)
    return replace(call, stream_fault=first, fault=_first_fault(call.fault, fault))


def _asked_for(before: Call, after: Call, event: CallEvent) -> tuple[Call, tuple[CallCommand, ...]]:
    if number := _stream_wanted(after):
        return replace(after, stream_number=number), (StartStreaming(number),)
    match event:
        case CallRequested():
            return after, (Dial(after.stream_number or None),)
        case CallArrived() if before.status is CallStatus.CREATED:
            return after, (Answer(),)
        case CallTurnedAway():
            return replace(after, end_requested_by=EndedBy.UNKNOWN_NUMBER), (Reject(),)
        case EndRequested() | LegOutlivedCall():
            return after, _hang_up(after)
        case CallFailed() | StreamingFailed() if _moved_to(CallStatus.ENDED, before, after):
            return after, _hang_up(after)
        case DialAccepted() | CallInitiated() | CallAnswered() if _is_unwanted(after):
            return after, _hang_up(after)
        case _:
            return after, ()


def _stream_wanted(call: Call) -> int:
    """The number of the stream that an answered call lacks: its first, or the one that takes the
    place of a first that is lost; 0 for none."""
    is_up = call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
    if not is_up or call.end_requested_by:
        return 0
    left = call.early_stream is not None and call.early_stream.left
    if call.stream_number == 1 and (left or (call.stream_fault and not _has_carried(call))):
        return 2
    return 0 if call.stream_number else 1


def _moved_to(status: CallStatus, before: Call, after: Call) -> bool:
    return after.status is status and before.status is not status


def _is_unwanted(call: Call) -> bool:
    """A leg of which we hear although its call is over for us."""
    return call.status is CallStatus.ENDED or call.end_requested_by is not None


def _hang_up(call: Call) -> tuple[CallCommand, ...]:
    return (HangUp(),) if call.leg and call.may_be_up else ()


def _concluded(call: Call) -> Call:
    outcome, reason = _verdict(call)
    known = [call.hangup.at_ms] if call.hangup else [call.fault.at_ms] if call.fault else []
    return replace(call, outcome=outcome, reason=reason, ended_at_ms=known[0] if known else None)


def _verdict(call: Call) -> tuple[Outcome, str]:
    if call.fault:
        return Outcome.FAILED, call.fault.reason
    assert call.hangup is not None, "only a fault or a hangup ends a call"
    cause, source = call.hangup.cause, call.hangup.source
    answered = (call.answered_at_ms, call.streaming_at_ms) != (None, None)
    if call.end_requested_by and answered:
        return Outcome.COMPLETED, call.end_requested_by
    if call.end_requested_by:
        turned_away = call.end_requested_by is EndedBy.UNKNOWN_NUMBER
        return (Outcome.REJECTED if turned_away else Outcome.CANCELED), call.end_requested_by
    if not answered:
        return _UNANSWERED.get(cause, Outcome.FAILED), cause
    return Outcome.COMPLETED, f"{source}_hung_up" if source in ("caller", "callee") else cause


def _earliest(known: int | None, at_ms: int) -> int:
    return at_ms if known is None else min(known, at_ms)


def _first_fault(known: Fault | None, new: Fault) -> Fault:
    faults = [fault for fault in (known, new) if fault]
    return min(faults, key=_age)


def _age(fault: Fault) -> tuple[int, str, str]:
    return fault.at_ms, fault.reason, fault.detail


def _first_hangup(known: Hangup | None, new: Hangup) -> Hangup:
    if known is None or known.cause == FOUND_ENDED:
        return new
    if new.cause == FOUND_ENDED:
        return known
    return min(known, new, key=lambda hangup: (hangup.at_ms, hangup.cause, hangup.source))


DIAL_PATIENCE_MS = 120_000  # ringing may take Telnyx's default 30 s, or more where it was asked for
MEDIA_PATIENCE_MS = 60_000  # from the answer until a container has claimed the call
HEARTBEAT_PATIENCE_MS = 45_000  # a task beats every 10 s
LEG_PATIENCE_MS = 60_000  # from our end of a call until the carrier's


def overdue(
    call: Call, *, heartbeat_at_ms: int | None, max_call_ms: int, now_ms: int
) -> CallEvent | None:
    """What the sweeper must tell a call that nobody hears any more; None while all is well."""
    if call.status is CallStatus.ENDED:
        late = call.may_be_up and now_ms > call.changed_at_ms + LEG_PATIENCE_MS
        return LegOutlivedCall() if late else None
    deadline_ms, reason = _patience(call, heartbeat_at_ms, max_call_ms)
    if now_ms <= deadline_ms:
        return None
    detail = f"nothing was heard of the call while it was {call.status}"
    return CallFailed(Fault(reason, detail, now_ms))


def _patience(call: Call, heartbeat_at_ms: int | None, max_call_ms: int) -> tuple[int, str]:
    """Until when a live call may stay as it is, and the fault it has after that."""
    if call.status is CallStatus.ANSWERED:
        return call.changed_at_ms + MEDIA_PATIENCE_MS, "no_media"
    if call.status is not CallStatus.STREAMING:
        return call.changed_at_ms + DIAL_PATIENCE_MS, "never_answered"
    since = call.streaming_at_ms or call.changed_at_ms
    return min(
        ((heartbeat_at_ms or since) + HEARTBEAT_PATIENCE_MS, "container_lost"),
        (since + max_call_ms + MEDIA_PATIENCE_MS, "max_duration_overrun"),
    )
