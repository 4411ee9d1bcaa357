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

from phonebridge import answering, transfer
from phonebridge.answering import AnsweringEvent, Detection, DetectionEnded, GreetingEnded
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
    DigitsRequested,
    EarlyStream,
    EndedBy,
    EndRequested,
    Fault,
    FirstStreamFailed,
    HangUp,
    Hangup,
    LegEvent,
    LegOutlivedCall,
    MediaAttached,
    MediaEvent,
    MediaReported,
    MediaStarted,
    Outcome,
    Reject,
    ReportAnswer,
    ReportMachine,
    SendDigits,
    StartStreaming,
    StopStreaming,
    StreamingFailed,
)
from phonebridge.errors import InvalidTransition
from phonebridge.transfer import (
    CallTransferred,
    HangUpTarget,
    ReportTransfer,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
    TransferEvent,
    TransferRefused,
    TransferRequested,
)

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
            CallTransferred: _S.TRANSFERRED,
            DetectionEnded: _S.DIALING,
            GreetingEnded: _S.DIALING,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.INCOMING: {
            CallArrived: _S.INCOMING,
            EndRequested: _S.INCOMING,
            FirstStreamFailed: _S.INCOMING,
            CallAnswered: _S.ANSWERED,
            CallTransferred: _S.TRANSFERRED,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.ANSWERED: {
            CallArrived: _S.ANSWERED,
            DialAccepted: _S.ANSWERED,
            CallInitiated: _S.ANSWERED,
            CallAnswered: _S.ANSWERED,
            DigitsRequested: _S.ANSWERED,
            EndRequested: _S.ANSWERED,
            MediaReported: _S.ANSWERED,
            FirstStreamFailed: _S.ANSWERED,
            CallTransferred: _S.TRANSFERRED,
            MediaAttached: _S.STREAMING,
            MediaStarted: _S.STREAMING,
            DetectionEnded: _S.ANSWERED,
            GreetingEnded: _S.ANSWERED,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.STREAMING: {
            CallArrived: _S.STREAMING,
            DialAccepted: _S.STREAMING,
            CallInitiated: _S.STREAMING,
            CallAnswered: _S.STREAMING,
            DigitsRequested: _S.STREAMING,
            EndRequested: _S.STREAMING,
            MediaAttached: _S.STREAMING,
            MediaStarted: _S.STREAMING,
            MediaReported: _S.STREAMING,
            FirstStreamFailed: _S.STREAMING,
            TransferRequested: _S.STREAMING,
            TransferRefused: _S.STREAMING,
            TargetInitiated: _S.STREAMING,
            TargetAnswered: _S.STREAMING,
            TargetBriefed: _S.STREAMING,
            TargetHungUp: _S.STREAMING,
            CallTransferred: _S.TRANSFERRED,
            DetectionEnded: _S.STREAMING,
            GreetingEnded: _S.STREAMING,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
        _S.TRANSFERRED: {
            CallArrived: _S.TRANSFERRED,
            DialAccepted: _S.TRANSFERRED,
            CallInitiated: _S.TRANSFERRED,
            CallAnswered: _S.TRANSFERRED,
            EndRequested: _S.TRANSFERRED,
            MediaStarted: _S.TRANSFERRED,
            MediaReported: _S.TRANSFERRED,
            FirstStreamFailed: _S.TRANSFERRED,
            TransferRefused: _S.TRANSFERRED,
            TargetInitiated: _S.TRANSFERRED,
            TargetAnswered: _S.TRANSFERRED,
            TargetBriefed: _S.TRANSFERRED,
            TargetHungUp: _S.TRANSFERRED,
            DetectionEnded: _S.TRANSFERRED,
            GreetingEnded: _S.TRANSFERRED,
            CallTransferred: _S.TRANSFERRED,
            CallFailed: _S.TRANSFERRED,
            StreamingFailed: _S.TRANSFERRED,
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
            TransferRefused: _S.ENDED,
            TargetInitiated: _S.ENDED,
            TargetAnswered: _S.ENDED,
            TargetBriefed: _S.ENDED,
            TargetHungUp: _S.ENDED,
            CallTransferred: _S.ENDED,
            DetectionEnded: _S.ENDED,
            GreetingEnded: _S.ENDED,
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
    moved = replace(_learned(call, event), status=row[type(event)])
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


def _learned(call: Call, event: CallEvent) -> Call:
    if _is_late(call, event):
        return call
    return _of_transfer(call, event) if isinstance(event, TransferEvent) else _of_leg(call, event)


def _is_late(call: Call, event: CallEvent) -> bool:
    """Once our part of a call is over, what we failed at or asked for changes nothing: a socket
    that breaks because the caller hung up is no fault. The carrier's facts count always."""
    match call.status:
        case CallStatus.ENDED:
            return isinstance(event, CallFailed | EndRequested)
        case CallStatus.TRANSFERRED:
            return isinstance(event, CallFailed)
        case _:
            return False


def _of_leg(call: Call, event: LegEvent) -> Call:
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
        case DetectionEnded() | GreetingEnded():
            return replace(call, detection=answering.learned(call.detection, event))
        case DigitsRequested() | LegOutlivedCall():
            return call
        case _:
            return _of_media(call, event)


def _of_media(call: Call, event: MediaEvent | CallRequested) -> Call:
    match event:
        case CallRequested(with_stream, on_machine):
            early = EarlyStream() if with_stream else None
            detection = Detection(on_machine) if on_machine else None
            number = int(with_stream)
            return replace(call, early_stream=early, stream_number=number, detection=detection)
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


def _of_transfer(call: Call, event: TransferEvent) -> Call:
    known = call.transfer
    if isinstance(event, CallTransferred):
        return replace(call, transferred_at_ms=_earliest(call.transferred_at_ms, event.at_ms))
    if isinstance(event, TransferRequested) and known and not known.end:
        raise InvalidTransition(f"A transfer of call {call.call_id} is under way already.")
    return replace(call, transfer=transfer.add_fact(known, event))


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
    reported = replace(call, activity=report.activity)
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
    after, commands = _asked_of_stream(before, after) or _asked_of_caller(before, after, event)
    if isinstance(event, AnsweringEvent):
        commands += _asked_because_of_machine(after)
    return after, (*commands, *_asked_of_target(before, after, event))


def _asked_of_caller(
    before: Call, after: Call, event: CallEvent
) -> tuple[Call, tuple[CallCommand, ...]]:
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
        case CallTransferred() if _moved_to(CallStatus.TRANSFERRED, before, after):
            # Stopped first: a stream that its server closes might count as failed.
            return after, (StopStreaming(), ReportTransfer())
        case DigitsRequested(digits, duration_ms):
            return after, (SendDigits(digits, duration_ms),)
        case _:
            return after, ()


def _asked_of_stream(before: Call, after: Call) -> tuple[Call, tuple[CallCommand, ...]] | None:
    if number := _stream_wanted(after):
        return replace(after, stream_number=number), (StartStreaming(number),)
    answered = _moved_to(CallStatus.ANSWERED, before, after)
    if answered and after.carries_early_stream and not after.end_requested_by:
        return after, (ReportAnswer(),)
    return None


def _stream_wanted(call: Call) -> int:
    """The number of the stream that an answered call lacks: its first, or the one that takes the
    place of a first that is lost; 0 for none."""
    is_up = call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
    if not is_up or _is_unwanted(call):
        return 0
    left = call.early_stream is not None and call.early_stream.left
    if call.stream_number == 1 and (left or (call.stream_fault and not _has_carried(call))):
        return 2
    return 0 if call.stream_number else 1


def _asked_of_target(before: Call, after: Call, event: CallEvent) -> tuple[CallCommand, ...]:
    known = after.transfer
    if known is None or after.transferred_at_ms is not None:
        return ()
    if _is_unwanted(after):
        appears = isinstance(event, TargetInitiated | TargetAnswered)
        ended = _moved_to(CallStatus.ENDED, before, after)
        # Of a blind transfer Telnyx takes care itself.
        is_up = known.is_warm and known.target and not known.end
        return (HangUpTarget(),) if is_up and (appears or ended) else ()
    return () if known == before.transfer else transfer.next_step(known, event)


def _moved_to(status: CallStatus, before: Call, after: Call) -> bool:
    return after.status is status and before.status is not status


def _is_unwanted(call: Call) -> bool:
    """A leg of which we hear although its call is over for us."""
    machine = call.detection is not None and call.detection.ends_call
    return call.status is CallStatus.ENDED or call.end_requested_by is not None or machine


def _asked_because_of_machine(call: Call) -> tuple[CallCommand, ...]:
    if _is_unwanted(call):
        return _hang_up(call)
    takes_message = call.detection is not None and call.detection.takes_message
    # A container that comes later reads it in the call.
    return (ReportMachine(),) if takes_message and call.owner_task else ()


def _hang_up(call: Call) -> tuple[CallCommand, ...]:
    return (HangUp(),) if call.leg and call.may_be_up else ()


def _concluded(call: Call) -> Call:
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
