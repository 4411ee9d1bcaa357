"""Which commands a call needs now: wanted by the record, not confirmed by it, and due. Pure.

A command is confirmed by its effect, never by the carrier's 200:

| command | confirmed by |
|---|---|
| `Dial` | a known leg |
| `Answer` | `call.answered` |
| `Reject`, `HangUp`, `HangUpTarget` | the hangup, or the answer that the leg is over (90018) |
| `StartStreaming` | the media socket that claims the stream |
| `StopStreaming` | the carrier's answer or webhook, or the container's report |
| `InformCaller` | the carrier's answer, because the sentence must not be spoken twice |
| `TransferLeg`, `DialTarget` | a known leg of the target's |
| `SpeakSummary` | `call.speak.started` |
| `BridgeLegs` | `call.bridged` |
| `SendDigits` | its settlement, which is written once the carrier has answered |
| `ReportAnswer` | the start of the media |
| `ReportEnd` | the report of the container that had the stream |

A report to a container has a key of its own, so a repetition of it is not read twice.

The write that creates a need stores when it did (`Call.asked_at`), and its writer sends the
command at once (`new_commands`). A redelivered webhook or a client's retry sends it again at once.
Anybody else does so `REPEAT_AFTER_MS` later, because the first sender may still be at work.

Telnyx ignores a `command_id` that it has seen within 60 s, so a repetition has no effect of its
own. After that it would: commands that must not be carried out twice are given up before
(`FINAL_AFTER_MS`).
"""

from collections.abc import Iterator

from phonebridge.call.call import FAREWELL, AskedAt, Call, CallStatus, EndedBy
from phonebridge.call.commands import (
    Answer,
    CallCommand,
    Dial,
    HangUp,
    InformCaller,
    Reject,
    ReportAnswer,
    ReportEnd,
    ReportMachine,
    SendDigits,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.events import (
    AnnouncementEnded,
    CallerInformed,
    CallEvent,
    MediaReported,
    MediaStarted,
    NextStreamRequested,
    StreamClosed,
    StreamingStopped,
)
from phonebridge.call.streams import has_used_all_streams, may_find_container
from phonebridge.call.transfer import (
    BridgeLegs,
    DialTarget,
    HangUpTarget,
    ReportTransfer,
    SpeakSummary,
    TransferLeg,
    next_step,
)

REPEAT_AFTER_MS = 5_000
FINAL_AFTER_MS = 50_000
"""Less than the 60 s in which Telnyx ignores a `command_id` that it has seen."""

# Commands that are not repeated after `FINAL_AFTER_MS`. `overdue.py` says what follows.
GIVEN_UP = (
    Dial,
    TransferLeg,
    DialTarget,
    SpeakSummary,
    BridgeLegs,
    SendDigits,
    StopStreaming,
    InformCaller,
    ReportTransfer,
    ReportAnswer,
    ReportMachine,
    ReportEnd,
)

_ONCE = (
    MediaStarted,
    MediaReported,
    NextStreamRequested,
    StreamClosed,
    CallerInformed,
    AnnouncementEnded,
)
"""Events that come once."""

_S = CallStatus
_Need = tuple[str, CallCommand]
"""A field of `AskedAt`, and the command that is needed there."""


def owed_commands(call: Call, now_ms: int, *, repeats: bool = False) -> tuple[CallCommand, ...]:
    """What is to be sent now. `repeats`: a repetition of the event that created the need asks."""
    return tuple(
        command
        for field, command in _needs(call)
        if _is_due(getattr(call.asked_at, field), now_ms, repeats=repeats)
        and not _is_given_up(command, getattr(call.asked_at, field), now_ms)
    )


def is_repetition(event: CallEvent, call: Call) -> bool:
    """Return whether an event that leaves the call as it is has come before. The end of a call
    closes its stream, so `streaming.stopped` changes nothing then, although it comes once."""
    has_closed_stream = isinstance(event, StreamingStopped) and call.status is _S.ENDED
    return not (has_closed_stream or isinstance(event, _ONCE))


def wanted_commands(call: Call) -> tuple[CallCommand, ...]:
    """What the call needs and nothing confirms, due or not."""
    return tuple(command for _, command in _needs(call))


def commands_given_up(call: Call, now_ms: int) -> tuple[CallCommand, ...]:
    """What is wanted, not confirmed, and will not be sent again."""
    return tuple(
        command
        for field, command in _needs(call)
        if _is_given_up(command, getattr(call.asked_at, field), now_ms)
    )


def asked_at(before: Call, after: Call, now_ms: int) -> AskedAt:
    """When each need of `after` arose: now, unless `before` had the same one."""
    new, known = _new_fields(before, after), dict(_needs(before))
    # What a container has read in the call when it came, it need not be told.
    read_ms = now_ms - FINAL_AFTER_MS
    return AskedAt(
        **{
            field: now_ms
            if field in new
            else getattr(before.asked_at, field)
            if field in known
            else read_ms
            for field, _ in _needs(after)
        }
    )


def new_commands(before: Call, after: Call) -> tuple[CallCommand, ...]:
    """Return the commands that cannot have been sent before, because this event created their
    needs."""
    new = _new_fields(before, after)
    return tuple(command for field, command in _needs(after) if field in new)


def _new_fields(before: Call, after: Call) -> set[str]:
    known = dict(_needs(before))
    new = {field for field, command in _needs(after) if known.get(field) != command}
    if before.detection != after.detection:
        return new | ({"machine_report_ms"} & dict(_needs(after)).keys())
    return new - {"machine_report_ms"}  # a container has come, and has read it in the call


def _needs(call: Call) -> Iterator[_Need]:
    """Each thing that commands are sent to needs one command at most."""
    if call.is_browser_call:
        yield from (("leg_ms", command) for command in [_of_browser(call)] if command)
        return
    needs: tuple[tuple[str, CallCommand | None], ...] = (
        ("leg_ms", _of_leg(call)),
        ("stream_ms", _of_stream(call)),
        ("target_ms", _of_target(call)),
        ("transfer_report_ms", _of_transfer_report(call)),
        ("machine_report_ms", _of_machine_report(call)),
        ("keys_ms", _of_keys(call)),
    )
    yield from ((field, command) for field, command in needs if command)


def _of_browser(call: Call) -> CallCommand | None:
    """The container ends a browser call. It needs no report of an end that it requested itself."""
    is_asked_elsewhere = call.end_requested_by in (EndedBy.API, EndedBy.UNKNOWN)
    is_to_end = call.fault is not None if call.status is _S.ENDED else is_asked_elsewhere
    return ReportEnd() if is_to_end and call.has_container else None


def _of_leg(call: Call) -> CallCommand | None:
    if call.status is _S.INCOMING and call.end_requested_by is EndedBy.UNKNOWN_NUMBER:
        return Reject()
    if call.is_unwanted:
        return HangUp() if call.leg and call.leg_may_be_up else None
    if call.status is _S.DIALING and call.leg is None:
        return Dial(1 if call.has_early_stream else None)
    return Answer() if call.status is _S.INCOMING else None


def _of_stream(call: Call) -> CallCommand | None:
    if call.status is _S.TRANSFERRED:
        # Stopped by us: a stream that its server closes might count as failed.
        is_open = max(call.left_stream, call.closed_stream) < call.attached_stream
        return StopStreaming(call.attached_stream) if is_open else None
    if call.is_unwanted or call.status not in (_S.ANSWERED, _S.STREAMING):
        return None
    if call.closing_stream > call.closed_stream:
        return StopStreaming(call.closing_stream)
    if call.is_parked:
        return _of_waiting_caller(call)
    known = max(call.attached_stream, call.lost_stream, call.has_early_stream)
    if call.stream_number > known:
        return StartStreaming(call.stream_number)
    is_waiting = call.carries_early_stream and call.streaming_at_ms is None
    return ReportAnswer() if is_waiting and call.lost_stream == 0 else None


def _of_waiting_caller(call: Call) -> CallCommand | None:
    if call.is_being_transferred:
        return None
    if call.announced_stream < call.parked_stream:
        is_last = has_used_all_streams(call)
        is_retry = may_find_container(call) and not is_last
        return InformCaller(call.parked_stream, is_goodbye=is_last, is_retry=is_retry)
    needs_farewell = call.is_given_up and call.announced_stream < FAREWELL
    return InformCaller(FAREWELL, is_goodbye=True) if needs_farewell else None


def _of_target(call: Call) -> CallCommand | None:
    if call.transfer is None or call.transferred_at_ms is not None:
        return None
    if call.is_unwanted:
        return HangUpTarget() if call.target_may_be_up else None
    is_up = call.status in (_S.ANSWERED, _S.STREAMING)
    return next_step(call.transfer) if is_up else None


def _of_transfer_report(call: Call) -> CallCommand | None:
    has_failed = call.status is _S.STREAMING and call.transfer is not None and call.transfer.end
    is_over = call.status is _S.TRANSFERRED or (has_failed and not call.is_unwanted)
    return ReportTransfer() if call.owner_task and is_over else None


def _of_machine_report(call: Call) -> CallCommand | None:
    if call.is_unwanted or call.owner_task is None or call.detection is None:
        return None
    return ReportMachine() if call.detection.takes_message else None


def _of_keys(call: Call) -> CallCommand | None:
    keys, is_up = call.keys, call.status in (_S.ANSWERED, _S.STREAMING)
    if keys is None or keys.settled or call.is_unwanted or not is_up:
        return None
    return SendDigits(keys.digits, keys.duration_ms, keys.number)


def _is_due(asked_ms: int, now_ms: int, *, repeats: bool) -> bool:
    return repeats or now_ms >= asked_ms + REPEAT_AFTER_MS


def _is_given_up(command: CallCommand, asked_ms: int, now_ms: int) -> bool:
    return isinstance(command, GIVEN_UP) and now_ms >= asked_ms + FINAL_AFTER_MS
