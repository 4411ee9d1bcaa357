"""The numbered media streams of a call: which one was lost, and which one must follow. Pure.

A call has one stream at a time. Each has a number, and a later stream makes the earlier ones
powerless: their events change nothing, and their containers may write nothing more.

A stream is lost when the carrier says so (`streaming.failed`, `streaming.stopped`), or when our
side asks for the next one (`NextStreamRequested`). In the second case, the carrier may still hold
it open, so it must close it first.

What follows the loss of a stream, if the call has carried audio before:

| the stream that was lost | what follows |
|---|---|
| carried audio, as one of fewer than `MAX_STREAMS` | the next stream, at once |
| failed to open | the next stream, at once |
| failed to open, as number `MAX_FAILURES_AT_ONCE` in a row or later | the call is parked |
| was the last one that the call may have | the call is parked, and ends |
| any, while no container has room | the call is parked |

If no stream has carried audio yet, the next one is tried at once. After the last one that may be
tried, the call is parked, and ends.

A parked caller hears a sentence of the carrier. After it, `overdue.py` says whether another stream
is tried, the fallback is called, or the call ends.
"""

from dataclasses import replace

from phonebridge.call.call import FAREWELL, MAX_FAILURES, MAX_STREAMS, Call, CallStatus, Fault
from phonebridge.call.events import (
    AnnouncementEnded,
    CallEvent,
    CallFailed,
    EndRequested,
    LastStreamEnding,
    NextStreamRequested,
    StreamClosed,
    StreamEvent,
    StreamingLost,
    StreamingStopped,
    StreamsGivenUp,
)

MAX_FAILURES_AT_ONCE = 4
"""After so many streams that could not be opened, the caller is spoken to, and the next one waits.
A balancer may still send new sockets to a container that has just died. With two containers, one of
the first four sockets almost always reaches the other one."""


def apply_event(call: Call, event: StreamEvent) -> Call:
    match event:
        case StreamingStopped(number):
            return _park_if_stuck(lose(_mark_closed(call, number), number), number)
        case StreamingLost(_, number):
            return _park_if_stuck(lose(_mark_closed(call, number), number), number)
        case AnnouncementEnded(number):
            ended = _first_announcement(call) if number is None else number
            return replace(call, spoken_stream=max(call.spoken_stream, ended))
        case StreamsGivenUp(number):
            return replace(call, given_up_stream=max(call.given_up_stream, number))
        case NextStreamRequested(number, has_room):
            return _request_next(call, number, has_room=has_room)
        case StreamClosed(number):
            return _mark_closed(call, number)
        case LastStreamEnding(number):
            return replace(call, last_stream=max(call.last_stream, number))
        case _:
            return call


def _first_announcement(call: Call) -> int:
    """The announcement that an event without a number may be about: the first one of the call. Once
    it has ended, the event may be a repetition, and the next announcement has a timeout."""
    if call.spoken_stream:
        return 0
    return max(call.last_stream, call.announced_stream)


def lose(call: Call, number: int) -> Call:
    return replace(call, lost_stream=max(call.lost_stream, number))


def park_without_audio(call: Call, number: int) -> Call:
    """Let the caller wait for a goodbye or for the fallback: the last stream that may be tried has
    failed, and none has carried audio."""
    last = min(number, last_stream_number(call))
    return replace(lose(_mark_closed(call, last), last), parked_stream=last)


def stream_needed(call: Call) -> int:
    """The number of the stream that the call needs: the first one as soon as somebody answers, and
    the next one when the latest is lost."""
    is_up = call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
    if call.is_unwanted or not is_up or call.stream_number > call.lost_stream:
        return call.stream_number
    if call.is_parked or call.is_being_transferred or call.has_last_stream:
        return call.stream_number
    return min(call.lost_stream + 1, last_stream_number(call))


def last_stream_number(call: Call) -> int:
    """The number of the last stream that the call may have."""
    if call.carried_streams == 0:
        return MAX_STREAMS
    return call.attached_stream + (MAX_FAILURES if call.carried_streams < MAX_STREAMS else 0)


def has_used_all_streams(call: Call) -> bool:
    return call.stream_number >= last_stream_number(call)


def may_find_container(call: Call) -> bool:
    """Whether a parked call waits because its streams failed to open, which the next one may not.
    Otherwise a container has said that there is no other one."""
    return call.parked_stream > call.attached_stream


def has_ended_announcement(call: Call) -> bool:
    """Whether the carrier has spoken the words that a parked caller hears before anything else
    follows."""
    return call.spoken_stream >= (FAREWELL if call.is_given_up else call.parked_stream)


def without_streams(call: Call) -> Call:
    """A call that has ended needs no stream, so what became of each of them makes no difference."""
    return replace(
        call,
        stream_number=call.attached_stream,
        lost_stream=0,
        left_stream=0,
        closing_stream=0,
        closed_stream=0,
        parked_stream=0,
        last_stream=0,
        announced_stream=0,
        spoken_stream=0,
        given_up_stream=0,
    )


def is_stale(call: Call, stream_number: int | None, event: CallEvent | None = None) -> bool:
    """Whether a container that has stream `stream_number` may change the call no more, because its
    stream was lost, or another container has a later one. None means anybody but a container."""
    if stream_number is None:
        return False
    if stream_number < call.attached_stream:
        return True
    is_lost = stream_number <= call.lost_stream and not call.has_last_stream
    return is_lost and not _precedes_loss(call, event)


def _precedes_loss(call: Call, event: CallEvent | None) -> bool:
    """Whether the container ended the call before the loss of its stream was written. Then the
    carrier probably closed the stream because the container had hung up."""
    match event:
        case EndRequested(_, at_ms) | CallFailed(Fault(at_ms=at_ms)):
            return at_ms <= call.asked_at.stream_ms
        case _:
            return False


def _mark_closed(call: Call, number: int) -> Call:
    return replace(call, closed_stream=max(call.closed_stream, number))


def _request_next(call: Call, number: int, *, has_room: bool) -> Call:
    """Requests about an old stream come from somebody who was slower than others."""
    if number != call.stream_number:
        return call
    can_follow = has_room and not has_used_all_streams(call)
    parked = 0 if can_follow else number
    return replace(lose(call, number), closing_stream=number, parked_stream=parked)


def _park_if_stuck(call: Call, number: int) -> Call:
    """Let the caller wait if the streams fail to open, or if no other stream may follow."""
    was_talking = call.attached_stream > 0 and call.streaming_at_ms is not None
    has_failed_often = number >= call.attached_stream + MAX_FAILURES_AT_ONCE
    is_stuck = has_failed_often or number >= last_stream_number(call)
    is_current = number == call.stream_number
    return replace(call, parked_stream=number) if was_talking and is_stuck and is_current else call
