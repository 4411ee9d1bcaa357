"""The life of a call: one table and a few pure functions.

Webhooks arrive late, twice and in any order. A call is therefore a set of facts that only grow:
what was answered when, who hung up, what failed.

- Each event adds its fact, whatever the status (`facts.py`).
- The table moves the status forward, never back.
- Outcome, reason and end are read off the facts alone (`outcome.py`).

Hence every order of the same events ends in the same record.

No event carries a command. The record says what is wanted and what is confirmed, and `owed.py`
derives the commands from it, as often as needed. If a handler dies between writing the record
and sending a command, nothing is lost. The next program that reads the record sends it.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from phonebridge.call.call import Call, CallStatus
from phonebridge.call.events import (
    AnnouncementEnded,
    BrowserCallRequested,
    BrowserLeft,
    CallAnswered,
    CallArrived,
    CallerInformed,
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
    LastStreamEnding,
    MediaAttached,
    MediaReported,
    MediaStarted,
    NextStreamRequested,
    StreamClosed,
    StreamingFailed,
    StreamingLost,
    StreamingStopped,
    StreamRequested,
    StreamsGivenUp,
)
from phonebridge.call.facts import apply_event
from phonebridge.call.machine_detection import DetectionEnded, GreetingEnded
from phonebridge.call.outcome import with_outcome
from phonebridge.call.owed import asked_at
from phonebridge.call.streams import last_stream_number, stream_needed, without_streams
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
            StreamingStopped: _S.DIALING,
            NextStreamRequested: _S.DIALING,
            LastStreamEnding: _S.DIALING,
            StreamClosed: _S.DIALING,
            CallerInformed: _S.DIALING,
            AnnouncementEnded: _S.DIALING,
            StreamsGivenUp: _S.DIALING,
            CallAnswered: _S.ANSWERED,
            MediaStarted: _S.STREAMING,
            CallTransferred: _S.TRANSFERRED,
            DetectionEnded: _S.DIALING,
            GreetingEnded: _S.DIALING,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.DIALING,
            CallHungUp: _S.ENDED,
        },
        _S.INCOMING: {
            CallArrived: _S.INCOMING,
            EndRequested: _S.INCOMING,
            StreamingLost: _S.INCOMING,
            StreamingStopped: _S.INCOMING,
            NextStreamRequested: _S.INCOMING,
            LastStreamEnding: _S.INCOMING,
            StreamClosed: _S.INCOMING,
            CallerInformed: _S.INCOMING,
            AnnouncementEnded: _S.INCOMING,
            StreamsGivenUp: _S.INCOMING,
            CallAnswered: _S.ANSWERED,
            CallTransferred: _S.TRANSFERRED,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.INCOMING,
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
            StreamingStopped: _S.ANSWERED,
            NextStreamRequested: _S.ANSWERED,
            LastStreamEnding: _S.ANSWERED,
            StreamClosed: _S.ANSWERED,
            CallerInformed: _S.ANSWERED,
            AnnouncementEnded: _S.ANSWERED,
            StreamsGivenUp: _S.ANSWERED,
            TransferRequested: _S.ANSWERED,
            TransferRefused: _S.ANSWERED,
            TargetInitiated: _S.ANSWERED,
            TargetAnswered: _S.ANSWERED,
            BriefingStarted: _S.ANSWERED,
            TargetBriefed: _S.ANSWERED,
            TargetHungUp: _S.ANSWERED,
            CallTransferred: _S.TRANSFERRED,
            MediaAttached: _S.STREAMING,
            MediaStarted: _S.STREAMING,
            DetectionEnded: _S.ANSWERED,
            GreetingEnded: _S.ANSWERED,
            CallFailed: _S.ENDED,
            StreamingFailed: _S.ANSWERED,
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
            StreamingStopped: _S.STREAMING,
            NextStreamRequested: _S.STREAMING,
            LastStreamEnding: _S.STREAMING,
            StreamClosed: _S.STREAMING,
            CallerInformed: _S.STREAMING,
            AnnouncementEnded: _S.STREAMING,
            StreamsGivenUp: _S.STREAMING,
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
            StreamingFailed: _S.STREAMING,
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
            StreamingStopped: _S.TRANSFERRED,
            NextStreamRequested: _S.TRANSFERRED,
            LastStreamEnding: _S.TRANSFERRED,
            StreamClosed: _S.TRANSFERRED,
            CallerInformed: _S.TRANSFERRED,
            AnnouncementEnded: _S.TRANSFERRED,
            StreamsGivenUp: _S.TRANSFERRED,
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
            StreamingStopped: _S.ENDED,
            NextStreamRequested: _S.ENDED,
            LastStreamEnding: _S.ENDED,
            StreamClosed: _S.ENDED,
            CallerInformed: _S.ENDED,
            AnnouncementEnded: _S.ENDED,
            StreamsGivenUp: _S.ENDED,
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
    moved = replace(moved, stream_number=stream_needed(moved))
    if moved.status is CallStatus.ENDED:
        moved = without_streams(with_outcome(moved))
    moved = replace(moved, asked_at=asked_at(call, moved, now_ms))
    return moved if moved == call else replace(moved, version=call.version + 1)


def _with_consequence(call: Call, event: CallEvent) -> CallEvent:
    """A stream that fails is replaced by the next one. If no stream has ever carried audio, the
    failure of the last one that may be tried is the fault of the call.

    A browser call ends with the request for its end, or with the report of its last container,
    whichever comes later.
    """
    if call.is_browser_call and isinstance(event, EndRequested | MediaReported):
        known = apply_event(call, event)
        is_over = known.end_requested_by is not None and not known.has_container
        return BrowserLeft(event) if is_over and call.status is not _S.ENDED else event
    if not isinstance(event, StreamingFailed):
        return event
    is_final = call.carried_streams == 0 and event.stream_number >= last_stream_number(call)
    return event if is_final else StreamingLost(event.fault, event.stream_number)
