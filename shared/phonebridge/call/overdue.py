"""Which event the sweep applies to a silent call. This module is pure.

Silence proves nothing: webhooks get lost, and the table may have been unavailable. So the sweep
first asks the carrier (`GET /calls/{id}`). If the leg has ended, the record gets the end that the
carrier reports (`event_of_leg_state`). The result of `overdue` counts only for a leg that is alive,
or if there is no leg to ask about.
"""

from dataclasses import dataclass, replace

from phonebridge.call.call import (
    FAREWELL,
    FOUND_ENDED,
    Call,
    CallStatus,
    EndedBy,
    Fault,
    Hangup,
)
from phonebridge.call.commands import CallCommand, Dial, InformCaller, SendDigits, StopStreaming
from phonebridge.call.events import (
    CallAnswered,
    CallerInformed,
    CallEvent,
    CallFailed,
    CallHungUp,
    DigitsSettled,
    EndRequested,
    MediaReported,
    NextStreamRequested,
    StreamClosed,
    StreamsGivenUp,
)
from phonebridge.call.owed import FINAL_AFTER_MS, commands_given_up
from phonebridge.call.streams import has_used_all_streams
from phonebridge.call.transfer import (
    BridgeLegs,
    DialTarget,
    SpeakSummary,
    TransferLeg,
    TransferRefused,
    TransferRequested,
)

RING_TIMEOUT_MS = 60_000
"""Telnyx lets a phone ring for 30 s. A leg that is alive after this time was answered."""
ANSWER_TIMEOUT_MS = 120_000  # how long an inbound call may wait for our answer
MEDIA_TIMEOUT_MS = 60_000  # from the answer until a container has claimed the call
STREAM_TIMEOUT_MS = 30_000  # from `streaming_start` until a container has claimed the next stream
PARKED_TIMEOUT_MS = 90_000  # a new task needs as long, and its health checks
ANNOUNCED_TIMEOUT_MS = 10_000  # to speak a sentence to a caller whom no container can take
TRANSFERRED_TIMEOUT_MS = 14_460_000  # longer than any leg may last at Telnyx
TRANSFER_TIMEOUT_MS = 150_000  # until a target has answered, and heard the longest summary
BROWSER_TIMEOUT_MS = 120_000  # as long as the token of its first stream is valid
RETURN_TIMEOUT_MS = 15_000  # for a browser that has lost its socket
HANGUP_TIMEOUT_MS = 10_000  # from the container's report until the carrier's word of the end
RETRY_MS = {7: 4_000, 8: 12_000}
"""How long to wait before the seventh and the eighth attempt to open a stream. A balancer may send
sockets to a dead container for some seconds."""
DIAL_FAILED = "dial_failed"
"""The fault of a call that the carrier did not dial, whether it refused or said nothing."""
NO_NEWS = "nothing was heard of it"


@dataclass(frozen=True, slots=True)
class LegState:
    """What the carrier says of a leg. A leg that it does not know is not alive."""

    is_alive: bool
    started_at_ms: int | None = None
    ended_at_ms: int | None = None


def event_of_leg_state(call: Call, state: LegState, now_ms: int) -> CallEvent | None:
    """The end of a leg that is over; None while it is alive.

    The answer to a dial says "not alive" by design, so without a time of the end it counts only
    once the call was answered, or the ring time is over.
    """
    if state.is_alive or call.leg is None:
        return None
    was_up = call.answered_at_ms is not None or now_ms > call.created_at_ms + RING_TIMEOUT_MS
    if state.ended_at_ms is None and not was_up:
        return None
    ended_at_ms = now_ms if state.ended_at_ms is None else state.ended_at_ms
    return CallHungUp(call.leg, Hangup(FOUND_ENDED, "unknown", ended_at_ms))


def event_of_live_leg(state: LegState, event: CallEvent) -> CallEvent:
    """The carrier knows better than we do since when a leg is up."""
    if isinstance(event, CallAnswered) and state.started_at_ms is not None:
        return replace(event, at_ms=state.started_at_ms)
    return event


def overdue(
    call: Call,
    *,
    is_task_lost: bool,
    max_call_ms: int,
    now_ms: int,
    has_room: bool = True,
    fallback: str = "",
) -> CallEvent | None:
    """Return the event for a call that waits in vain, or None. `is_task_lost` says that the task of
    the call is dead, or no longer carries it (`control_plane/task_sweep.py`). `has_room` says that
    a container can take the call. `fallback` is the number for a caller whom none can take."""
    silent_ms = now_ms - call.changed_at_ms
    if call.is_browser_call and (event := _overdue_browser(call, is_task_lost, now_ms)):
        return event
    match call.status:
        case CallStatus.ENDED:
            return None  # what may be up is hung up until the carrier confirms it (`owed.py`)
        case CallStatus.CREATED:
            return None
        case CallStatus.TRANSFERRED:
            ended = EndRequested(EndedBy.MAX_DURATION, now_ms)
            return ended if silent_ms > TRANSFERRED_TIMEOUT_MS else None
        case CallStatus.STREAMING:
            since_ms = now_ms - (call.streaming_at_ms or call.changed_at_ms)
            if since_ms > max_call_ms + MEDIA_TIMEOUT_MS:
                return _failure(call, "max_duration_overrun", now_ms)
            return _overdue_stream(call, is_task_lost, has_room, fallback, now_ms)
        case CallStatus.ANSWERED:
            return _overdue_answered(call, has_room, fallback, now_ms)
        case _:
            return _overdue_beginning(call, silent_ms, now_ms)


def _overdue_beginning(call: Call, silent_ms: int, now_ms: int) -> CallEvent | None:
    if any(isinstance(command, Dial) for command in commands_given_up(call, now_ms)):
        detail = "Telnyx did not confirm the dial, which may not be repeated any more"
        return CallFailed(Fault(DIAL_FAILED, detail, now_ms))
    if call.status is CallStatus.DIALING and call.leg and silent_ms > RING_TIMEOUT_MS:
        return CallAnswered(call.leg, call.created_at_ms, is_estimated=True)
    return _failure(call, "never_answered", now_ms) if silent_ms > ANSWER_TIMEOUT_MS else None


def _overdue_answered(call: Call, has_room: bool, fallback: str, now_ms: int) -> CallEvent | None:
    """A container may have lost the first stream because it could not reach the table to claim it,
    or its `streaming.failed` got lost. So the call gets one more before it ends, even if the sweep
    sees no container with room: after an outage, their heartbeats may still be old."""
    silent_ms = now_ms - call.changed_at_ms
    if call.is_parked:
        return _overdue_parked(call, has_room, fallback, now_ms)
    if call.stream_number == 1 and silent_ms > STREAM_TIMEOUT_MS:
        return NextStreamRequested(1)
    if silent_ms > MEDIA_TIMEOUT_MS:
        return _failure(call, "no_media", now_ms)
    return _settle_given_up(call, now_ms)


def _overdue_parked(call: Call, has_room: bool, fallback: str, now_ms: int) -> CallEvent | None:
    """The fallback of a parked call may fail like any other transfer."""
    if call.is_being_transferred:
        silent_ms = now_ms - call.changed_at_ms
        return _overdue_transfer(call, silent_ms) or _settle_given_up(call, now_ms)
    return event_of_lost_stream(call, has_room=has_room, now_ms=now_ms, fallback=fallback)


def _overdue_browser(call: Call, is_task_lost: bool, now_ms: int) -> CallEvent | None:
    """What only browser calls wait for. Their time limit and lost tasks are as those of others."""
    silent_ms = now_ms - call.changed_at_ms
    if call.status is CallStatus.CREATED:
        late = silent_ms > BROWSER_TIMEOUT_MS
        return EndRequested(EndedBy.BROWSER_ABSENT, now_ms) if late else None
    if call.status is not CallStatus.STREAMING:
        return None
    if not call.has_container:
        late = silent_ms > RETURN_TIMEOUT_MS
        return EndRequested(EndedBy.BROWSER_LOST, call.changed_at_ms) if late else None
    if call.end_requested_by and (is_task_lost or silent_ms > FINAL_AFTER_MS):
        return MediaReported(call.attached_stream)
    return None


def _overdue_container(call: Call, is_task_lost: bool, now_ms: int) -> CallEvent | None:
    """A browser opens its next stream by itself, so only its return is awaited."""
    late = now_ms - call.changed_at_ms > RETURN_TIMEOUT_MS
    return _failure(call, "container_lost", now_ms) if is_task_lost and late else None


def _overdue_stream(
    call: Call, is_task_lost: bool, has_room: bool, fallback: str, now_ms: int
) -> CallEvent | None:
    silent_ms = now_ms - call.changed_at_ms
    if call.is_browser_call:
        return _overdue_container(call, is_task_lost, now_ms)
    if call.is_parked and not call.is_unwanted:
        return _overdue_parked(call, has_room, fallback, now_ms)
    has_left = call.has_lost_media and silent_ms > HANGUP_TIMEOUT_MS
    if is_task_lost or has_left or _is_between_streams(call):
        return event_of_lost_stream(call, has_room=has_room, now_ms=now_ms, fallback=fallback)
    return _overdue_transfer(call, silent_ms) or _settle_given_up(call, now_ms)


def _is_between_streams(call: Call) -> bool:
    return not call.is_unwanted and call.stream_number > call.attached_stream


def event_of_lost_stream(
    call: Call,
    *,
    has_room: bool,
    now_ms: int,
    timeout_ms: int = STREAM_TIMEOUT_MS,
    fallback: str = "",
) -> CallEvent | None:
    """What a call needs whose container is lost: the next stream, or the end if it has waited for
    one too long. None while the last command may still take effect, or is to be repeated first."""
    if call.is_unwanted or call.is_being_transferred:
        return None
    if call.has_last_stream:
        is_late = now_ms - call.changed_at_ms > MEDIA_TIMEOUT_MS
        return _failure(call, "media_lost", now_ms) if is_late else None
    if call.is_parked:
        return _event_of_parked(call, has_room=has_room, now_ms=now_ms, fallback=fallback)
    if call.closing_stream > call.closed_stream:
        return _settle_given_up(call, now_ms)
    is_asked = call.stream_number > max(call.attached_stream, call.lost_stream)
    if is_asked and now_ms < call.asked_at.stream_ms + timeout_ms:
        return None
    return NextStreamRequested(call.stream_number, has_room)


def _event_of_parked(call: Call, *, has_room: bool, now_ms: int, fallback: str) -> CallEvent | None:
    """A container that has room takes the call. Otherwise the carrier speaks, then follow the
    fallback and at last a farewell."""
    if call.is_given_up:
        is_over = _is_informed(call, FAREWELL, now_ms)
        return _media_failure(call, now_ms) if is_over else _settle_given_up(call, now_ms)
    is_last, waits_ms = has_used_all_streams(call), now_ms - call.changed_at_ms
    attempt = call.stream_number + 1 - call.attached_stream
    if has_room and not is_last and waits_ms >= RETRY_MS.get(attempt, 0):
        return NextStreamRequested(call.stream_number)
    if not _is_informed(call, call.parked_stream, now_ms):
        return _settle_given_up(call, now_ms)
    if fallback and not _has_tried(call, fallback):
        return TransferRequested(fallback)
    if is_last and not fallback:
        return _media_failure(call, now_ms)  # the carrier has said goodbye already
    if is_last or fallback or waits_ms > PARKED_TIMEOUT_MS:
        return StreamsGivenUp(call.parked_stream)
    return _settle_given_up(call, now_ms)


def _is_informed(call: Call, announcement: int, now_ms: int) -> bool:
    is_late = now_ms - call.changed_at_ms > ANNOUNCED_TIMEOUT_MS
    return call.spoken_stream >= announcement or is_late


def _has_tried(call: Call, fallback: str) -> bool:
    return call.transfer is not None and call.transfer.to == fallback


def _media_failure(call: Call, now_ms: int) -> CallFailed:
    reason = "media_lost" if has_used_all_streams(call) else "container_lost"
    reason = reason if call.carried_streams else "no_media"
    return CallFailed(Fault(reason, "no further media stream could be opened", now_ms))


def _overdue_transfer(call: Call, silent_ms: int) -> CallEvent | None:
    """End an overdue transfer, so that the agent can inform the caller, who may try again."""
    known = call.transfer
    if known is None or known.end or silent_ms <= TRANSFER_TIMEOUT_MS:
        return None
    return TransferRefused(known.number, NO_NEWS)


def _settle_given_up(call: Call, now_ms: int) -> CallEvent | None:
    """What follows for a command that may not be repeated any more."""
    events = (_event_of_given_up(command, call) for command in commands_given_up(call, now_ms))
    return next((event for event in events if event), None)


def _event_of_given_up(command: CallCommand, call: Call) -> CallEvent | None:
    match command:
        case TransferLeg() | DialTarget() | SpeakSummary() | BridgeLegs() if call.transfer:
            return TransferRefused(call.transfer.number, NO_NEWS)
        case SendDigits(number=number):
            return DigitsSettled(number)
        case StopStreaming(number) if call.status is CallStatus.STREAMING:
            return StreamClosed(number)
        case InformCaller(number):
            return CallerInformed(number)
        case _:
            return None


def _failure(call: Call, reason: str, now_ms: int) -> CallFailed:
    detail = f"nothing was heard of the call while it was {call.status}"
    return CallFailed(Fault(reason, detail, now_ms))
