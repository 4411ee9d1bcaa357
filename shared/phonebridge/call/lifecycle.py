"""The life of a call: one table, one pure function.

Webhooks arrive late, twice and in any order, so a call is a set of facts that only grow: what was
answered when, who hung up, what failed. Each event adds its fact, whatever the status
(`facts.py`); the table moves the status forward, never back; outcome, reason and end are read off
the facts alone (`outcome.py`). Hence every order of the same events ends in the same record.
Commands are asked for by the move itself, so an event that changes nothing asks for nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from phonebridge.call import transfer
from phonebridge.call.call import Call, CallStatus, EndedBy
from phonebridge.call.commands import (
    Answer,
    CallCommand,
    Dial,
    HangUp,
    Reject,
    ReportAnswer,
    ReportMachine,
    SendDigits,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.events import (
    CallAnswered,
    CallArrived,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallInitiated,
    CallRequested,
    CallTurnedAway,
    DialAccepted,
    DigitsRequested,
    EndRequested,
    FirstStreamFailed,
    LegOutlivedCall,
    MediaAttached,
    MediaReported,
    MediaStarted,
    StreamingFailed,
)
from phonebridge.call.facts import apply_event
from phonebridge.call.machine_detection import AnsweringEvent, DetectionEnded, GreetingEnded
from phonebridge.call.outcome import with_outcome
from phonebridge.call.transfer import (
    CallTransferred,
    HangUpTarget,
    ReportTransfer,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
    TransferRefused,
    TransferRequested,
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
            LegOutlivedCall: _S.STREAMING,
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


def advance(call: Call, event: CallEvent) -> tuple[Call, tuple[CallCommand, ...]]:
    """What the event makes of the call, and what the call asks for because of it.

    A call that comes back equal has nothing to save. Raises `InvalidTransition` for an event that
    the table does not name in that status.
    """
    event = _distinguish_stream(call, event)
    row = TRANSITIONS[call.status]
    if type(event) not in row:
        raise InvalidTransition(
            f"{type(event).__name__} cannot happen to call {call.call_id}, which is {call.status}."
        )
    moved = replace(apply_event(call, event), status=row[type(event)])
    if moved.status is CallStatus.ENDED:
        moved = with_outcome(moved)
    moved, commands = _commands_for(call, moved, event)
    if moved != call:
        moved = replace(moved, version=call.version + 1)
    return moved, commands


def _distinguish_stream(call: Call, event: CallEvent) -> CallEvent:
    """Telnyx does not say which stream of a call failed: the first failure is the first one's.
    Its container was full, or about to end; the second may find another. But a stream that carried
    the call takes it along."""
    if not isinstance(event, StreamingFailed) or _has_carried(call):
        return event
    return FirstStreamFailed(event.fault) if call.stream_fault in (None, event.fault) else event


def _has_carried(call: Call) -> bool:
    return call.attached_stream == 1 and not call.early_stream


def _commands_for(
    before: Call, after: Call, event: CallEvent
) -> tuple[Call, tuple[CallCommand, ...]]:
    after, commands = _stream_commands(before, after) or _caller_commands(before, after, event)
    if isinstance(event, AnsweringEvent):
        commands += _machine_commands(after)
    return after, (*commands, *_target_commands(before, after, event))


def _caller_commands(
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
        case CallFailed() | StreamingFailed() if _has_entered(CallStatus.ENDED, before, after):
            return after, _hang_up(after)
        case DialAccepted() | CallInitiated() | CallAnswered() if _is_unwanted(after):
            return after, _hang_up(after)
        case CallTransferred() if _has_entered(CallStatus.TRANSFERRED, before, after):
            # Stopped first: a stream that its server closes might count as failed.
            return after, (StopStreaming(), ReportTransfer())
        case DigitsRequested(digits, duration_ms):
            return after, (SendDigits(digits, duration_ms),)
        case _:
            return after, ()


def _stream_commands(before: Call, after: Call) -> tuple[Call, tuple[CallCommand, ...]] | None:
    if number := _missing_stream(after):
        return replace(after, stream_number=number), (StartStreaming(number),)
    answered = _has_entered(CallStatus.ANSWERED, before, after)
    if answered and after.carries_early_stream and not after.end_requested_by:
        return after, (ReportAnswer(),)
    return None


def _missing_stream(call: Call) -> int:
    """The number of the stream that an answered call lacks: its first, or the one that takes the
    place of a first that is lost; 0 for none."""
    is_up = call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
    if not is_up or _is_unwanted(call):
        return 0
    left = call.early_stream is not None and call.early_stream.left
    if call.stream_number == 1 and (left or (call.stream_fault and not _has_carried(call))):
        return 2
    return 0 if call.stream_number else 1


def _target_commands(before: Call, after: Call, event: CallEvent) -> tuple[CallCommand, ...]:
    known = after.transfer
    if known is None or after.transferred_at_ms is not None:
        return ()
    if _is_unwanted(after):
        appears = isinstance(event, TargetInitiated | TargetAnswered)
        ended = _has_entered(CallStatus.ENDED, before, after)
        # Of a blind transfer Telnyx takes care itself.
        is_up = known.is_warm and known.target and not known.end
        return (HangUpTarget(),) if is_up and (appears or ended) else ()
    return () if known == before.transfer else transfer.next_step(known, event)


def _has_entered(status: CallStatus, before: Call, after: Call) -> bool:
    return after.status is status and before.status is not status


def _is_unwanted(call: Call) -> bool:
    """A leg of which we hear although its call is over for us."""
    machine = call.detection is not None and call.detection.ends_call
    return call.status is CallStatus.ENDED or call.end_requested_by is not None or machine


def _machine_commands(call: Call) -> tuple[CallCommand, ...]:
    if _is_unwanted(call):
        return _hang_up(call)
    takes_message = call.detection is not None and call.detection.takes_message
    # A container that comes later reads it in the call.
    return (ReportMachine(),) if takes_message and call.owner_task else ()


def _hang_up(call: Call) -> tuple[CallCommand, ...]:
    return (HangUp(),) if call.leg and call.may_be_up else ()
