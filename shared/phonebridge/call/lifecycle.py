"""The life of a call: one table and a few pure functions.

Webhooks arrive late, twice and in any order. A call is therefore a set of facts that only grow:
what was answered when, who hung up, what failed.

- Each event adds its fact, whatever the status (`facts.py`).
- The table moves the status forward, never back.
- Outcome, reason and end are read off the facts alone (`outcome.py`).

Hence every order of the same events ends in the same record.

No event carries a command. The record says what is wanted and what is confirmed, and `owed.py`
derives the commands from it, as often as somebody asks. A handler that dies between writing the
record and sending a command loses nothing: whoever looks at the record next sends it.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from phonebridge.call.call import MAX_STREAMS, Call, CallStatus
from phonebridge.call.events import (
    BrowserCallRequested,
    BrowserLeft,
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
    DigitsSettled,
    EndRequested,
    MediaAttached,
    MediaReported,
    MediaStarted,
    StreamingFailed,
    StreamingLost,
    StreamRequested,
)
from phonebridge.call.facts import apply_event
from phonebridge.call.machine_detection import DetectionEnded, GreetingEnded
from phonebridge.call.outcome import with_outcome
from phonebridge.call.owed import asked_at
from phonebridge.call.transfer import (
    BriefingStarted,
    CallTransferred,
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
            BrowserCallRequested: _S.CREATED,
            StreamRequested: _S.CREATED,
            MediaAttached: _S.STREAMING,
            BrowserLeft: _S.ENDED,
        },
        _S.DIALING: {
            DialAccepted: _S.DIALING,
            CallInitiated: _S.DIALING,
            EndRequested: _S.DIALING,
            MediaAttached: _S.DIALING,
            MediaReported: _S.DIALING,
            StreamingLost: _S.DIALING,
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
            StreamingLost: _S.INCOMING,
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
            DigitsSettled: _S.ANSWERED,
            EndRequested: _S.ANSWERED,
            MediaReported: _S.ANSWERED,
            StreamingLost: _S.ANSWERED,
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
            DigitsSettled: _S.STREAMING,
            EndRequested: _S.STREAMING,
            MediaAttached: _S.STREAMING,
            MediaStarted: _S.STREAMING,
            MediaReported: _S.STREAMING,
            StreamingLost: _S.STREAMING,
            TransferRequested: _S.STREAMING,
            TransferRefused: _S.STREAMING,
            TargetInitiated: _S.STREAMING,
            TargetAnswered: _S.STREAMING,
            BriefingStarted: _S.STREAMING,
            TargetBriefed: _S.STREAMING,
            TargetHungUp: _S.STREAMING,
            StreamRequested: _S.STREAMING,
            BrowserLeft: _S.ENDED,
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
            DigitsSettled: _S.TRANSFERRED,
            MediaStarted: _S.TRANSFERRED,
            MediaReported: _S.TRANSFERRED,
            StreamingLost: _S.TRANSFERRED,
            TransferRefused: _S.TRANSFERRED,
            TargetInitiated: _S.TRANSFERRED,
            TargetAnswered: _S.TRANSFERRED,
            BriefingStarted: _S.TRANSFERRED,
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
            DigitsSettled: _S.ENDED,
            MediaStarted: _S.ENDED,
            MediaReported: _S.ENDED,
            StreamingLost: _S.ENDED,
            TransferRefused: _S.ENDED,
            TargetInitiated: _S.ENDED,
            TargetAnswered: _S.ENDED,
            BriefingStarted: _S.ENDED,
            TargetBriefed: _S.ENDED,
            TargetHungUp: _S.ENDED,
            CallTransferred: _S.ENDED,
            DetectionEnded: _S.ENDED,
            GreetingEnded: _S.ENDED,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ENDED,
            CallHungUp: _S.ENDED,
        },
    }
)


def advance(call: Call, event: CallEvent, now_ms: int) -> Call:
    """What the event makes of the call; an equal call has nothing to save.

    Raises `InvalidTransition` for an event that the table does not name in that status.
    """
    event = _with_consequence(call, event)
    row = TRANSITIONS[call.status]
    if type(event) not in row:
        raise InvalidTransition(
            f"{type(event).__name__} cannot happen to call {call.call_id}, which is {call.status}."
        )
    moved = replace(apply_event(call, event), status=row[type(event)])
    moved = replace(moved, stream_number=_stream_needed(moved))
    if moved.status is CallStatus.ENDED:
        moved = _without_streams(with_outcome(moved))
    moved = replace(moved, asked_at=asked_at(call, moved, now_ms))
    return moved if moved == call else replace(moved, version=call.version + 1)


def is_stale(call: Call, stream_number: int | None) -> bool:
    """Whether a container that has stream `stream_number` may change the call no more, because
    another container has a later one. None stands for anybody who is no container."""
    return stream_number is not None and stream_number < call.attached_stream


def _with_consequence(call: Call, event: CallEvent) -> CallEvent:
    """Another stream replaces one that never carried the call. A stream that did takes the call
    along when it fails, and so does the last one that a call may have. A browser call ends with
    the request for its end, or with the report of its last container, whichever comes later."""
    if call.is_browser_call and isinstance(event, EndRequested | MediaReported):
        known = apply_event(call, event)
        is_over = known.end_requested_by is not None and not known.has_container
        return BrowserLeft(event) if is_over and call.status is not _S.ENDED else event
    if not isinstance(event, StreamingFailed):
        return event
    number = event.stream_number
    has_carried = number == call.attached_stream and not call.carries_early_stream
    is_fatal = has_carried or number >= MAX_STREAMS
    return event if is_fatal else StreamingLost(event.fault, number)


def _stream_needed(call: Call) -> int:
    """The number of the stream that the call needs: the first one as soon as somebody answers, and
    the next one when the latest is lost."""
    is_up = call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
    if call.is_unwanted or not is_up or call.stream_number > call.lost_stream:
        return call.stream_number
    return min(call.lost_stream + 1, MAX_STREAMS)


def _without_streams(call: Call) -> Call:
    """A call that has ended needs no stream, so what became of each of them makes no difference."""
    return replace(call, stream_number=call.attached_stream, lost_stream=0, left_stream=0)
