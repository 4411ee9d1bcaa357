"""Adds the fact of each event to a call. Facts only grow. If two facts contradict each other, the
earlier one counts. So every order of the same events ends in the same record."""

from dataclasses import replace
from typing import get_args

from phonebridge.call import machine_detection, streams, transfer
from phonebridge.call.call import (
    CLOCK_SKEW_MS,
    FOUND_ENDED,
    MAX_STREAMS,
    Call,
    CallStatus,
    Direction,
    EndedBy,
    Fault,
    Hangup,
    Keys,
    Leg,
)
from phonebridge.call.events import (
    BrowserCallRequested,
    BrowserEvent,
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
    LegEvent,
    MediaAttached,
    MediaEvent,
    MediaReported,
    MediaStarted,
    StreamEvent,
    StreamingFailed,
    StreamRequested,
)
from phonebridge.call.machine_detection import Detection, DetectionEnded, GreetingEnded
from phonebridge.call.transfer import CallTransferred, TransferEvent, TransferRequested
from phonebridge.errors import InvalidTransition

_OF_BROWSER_CALLS = (
    *get_args(BrowserEvent),
    MediaAttached,
    MediaReported,
    EndRequested,
    CallFailed,
)


def apply_event(call: Call, event: CallEvent) -> Call:
    if call.is_browser_call and not isinstance(event, _OF_BROWSER_CALLS):
        raise InvalidTransition(f"Call {call.call_id} is a browser call: no carrier has it.")
    if _is_too_late(call, event):
        return call
    if isinstance(event, TransferEvent):
        return _apply_transfer_event(call, event)
    if isinstance(event, BrowserEvent):
        return _apply_browser_event(call, event)
    return _apply_leg_event(call, event)


def _is_too_late(call: Call, event: CallEvent) -> bool:
    """Return whether the event comes after the end of our part of the call. Then our own failures
    and requests change nothing: a socket that breaks because the caller hung up is no fault. The
    carrier's facts always count."""
    match event:
        case CallFailed(fault):
            is_over = call.status in (CallStatus.ENDED, CallStatus.TRANSFERRED)
            return is_over and not _explains_end(call, fault)
        case EndRequested(_, at_ms):
            # An end that was asked for in time sets the reason, even if it is written later.
            return call.status is CallStatus.ENDED and not _precedes_end(call, at_ms)
        case MediaReported():
            return call.status is CallStatus.ENDED
        case _:
            return isinstance(event, StreamEvent) and call.status is CallStatus.ENDED


def _precedes_end(call: Call, at_ms: int) -> bool:
    return call.hangup is not None and at_ms <= call.hangup.at_ms + CLOCK_SKEW_MS


def _explains_end(call: Call, fault: Fault) -> bool:
    """Return whether the call ended because of this failure. The carrier's report of the hangup may
    be written before the failure, for example after the table was unavailable.

    If a person hung up, only a failure of the model counts: the agent had apologized or was silent.
    Any other failure may be a consequence of the hangup."""
    person = "callee" if call.direction is Direction.OUTBOUND else "caller"
    is_ours = call.hangup is not None and (call.hangup.source != person or fault.is_of_model)
    is_unexplained = call.end_requested_by is None and call.transferred_at_ms is None
    return is_ours and is_unexplained and _precedes_end(call, fault.at_ms)


def _apply_leg_event(call: Call, event: LegEvent) -> Call:
    match event:
        case CallArrived(leg) | CallTurnedAway(leg) | CallInitiated(leg):
            met = replace(call, leg=_known_leg(call.leg, leg))
            is_refused = isinstance(event, CallTurnedAway)
            return _turned_away(met) if is_refused else met
        case DialAccepted(leg):
            # Webhooks may come before the dial's answer, and may name another id than it does:
            # theirs is the one that lives on.
            return replace(call, leg=_known_leg(leg, call.leg) if call.leg else leg)
        case CallAnswered():
            return _answer(replace(call, leg=_known_leg(call.leg, event.leg)), event)
        case CallHungUp(leg, hangup):
            first = _first_hangup(call.hangup, hangup)
            return replace(call, leg=_known_leg(call.leg, leg), hangup=first)
        case CallFailed(fault):
            return replace(call, fault=_first_fault(call.fault, fault))
        case EndRequested(by, at_ms):
            return _apply_end_request(call, by, at_ms)
        case DetectionEnded() | GreetingEnded():
            return replace(call, detection=machine_detection.apply_event(call.detection, event))
        case DigitsRequested() | DigitsSettled():
            return replace(call, keys=_apply_keys(call.keys, event))
        case _:
            return _apply_media_event(call, event)


def _apply_media_event(call: Call, event: MediaEvent | CallRequested) -> Call:
    match event:
        case CallRequested(with_stream, on_machine):
            detection = Detection(on_machine) if on_machine else None
            number = int(with_stream)
            return replace(
                call, has_early_stream=with_stream, stream_number=number, detection=detection
            )
        case MediaAttached():
            return _attach(call, event)
        case MediaStarted(at_ms):
            return replace(call, streaming_at_ms=_earliest_ms(call.streaming_at_ms, at_ms))
        case MediaReported():
            return _apply_report(call, event)
        case StreamingFailed(fault, number):
            failed = replace(call, fault=_first_fault(call.fault, fault))
            return streams.park_without_audio(failed, number)
        case CallerInformed(number):
            return replace(call, announced_stream=max(call.announced_stream, number))
        case _:
            return streams.apply_event(call, event)


def _apply_browser_event(call: Call, event: BrowserEvent) -> Call:
    match event:
        case BrowserCallRequested():
            return replace(call, stream_number=1)
        case BrowserLeft(last):
            return _apply_leg_event(call, last)
        case StreamRequested():
            return _request_stream(call)


def _request_stream(call: Call) -> Call:
    """Request a stream. The number stays the same as long as no container has claimed it."""
    if not call.is_browser_call:
        raise InvalidTransition(f"Call {call.call_id} is a phone call; its carrier opens streams.")
    if call.is_unwanted:
        raise InvalidTransition(f"Call {call.call_id} is being ended.")
    if call.carried_streams == MAX_STREAMS:
        raise InvalidTransition(f"Call {call.call_id} has had {MAX_STREAMS} streams, the most.")
    return replace(call, stream_number=call.attached_stream + 1)


def _answer(call: Call, event: CallAnswered) -> Call:
    """Note the answer. The time in a webhook replaces every estimate."""
    known_ms = call.answered_at_ms
    if known_ms is not None and call.is_answer_estimated != event.is_estimated:
        at_ms = known_ms if event.is_estimated else event.at_ms
        return replace(call, answered_at_ms=at_ms, is_answer_estimated=False)
    at_ms = event.at_ms if known_ms is None else min(known_ms, event.at_ms)
    return replace(call, answered_at_ms=at_ms, is_answer_estimated=event.is_estimated)


def _apply_end_request(call: Call, by: EndedBy, at_ms: int) -> Call:
    """Note a request for the end. The earliest request counts."""
    known_ms, known_by = call.end_requested_at_ms, call.end_requested_by
    if known_ms is not None and known_by and (known_ms, known_by) <= (at_ms, by):
        return call
    return replace(call, end_requested_by=by, end_requested_at_ms=at_ms)


def _turned_away(call: Call) -> Call:
    return _apply_end_request(call, EndedBy.UNKNOWN_NUMBER, call.created_at_ms)


def _apply_keys(known: Keys | None, event: DigitsRequested | DigitsSettled) -> Keys | None:
    if isinstance(event, DigitsSettled):
        is_same = known is not None and known.number == event.number
        return replace(known, settled=True) if known and is_same else known
    number = known.number + 1 if known else 1
    wanted = Keys(number, event.digits, event.duration_ms, event.request_id)
    is_same = known is not None and replace(wanted, number=known.number) == known
    is_named = known is not None and known.request_id == event.request_id != ""
    return known if is_same or is_named else wanted


def _apply_transfer_event(call: Call, event: TransferEvent) -> Call:
    known = call.transfer
    if isinstance(event, CallTransferred):
        return replace(call, transferred_at_ms=_earliest_ms(call.transferred_at_ms, event.at_ms))
    if isinstance(event, TransferRequested) and known and not known.end:
        if known.is_repeated_by(event):
            return call
        raise InvalidTransition(f"A transfer of call {call.call_id} is under way already.")
    return replace(call, transfer=transfer.apply_event(known, event))


def _attach(call: Call, event: MediaAttached) -> Call:
    is_repeated = call.attached_stream == event.stream_number and call.owner_task == event.task_id
    if is_repeated and call.attached_at_ms == event.at_ms:
        return call  # the answer to the write of this very claim got lost
    oldest = max(call.attached_stream, call.lost_stream) + 1
    if not oldest <= event.stream_number <= call.stream_number:
        raise InvalidTransition(
            f"Stream {event.stream_number} of call {call.call_id} was used before or never opened."
        )
    if call.is_browser_call and call.is_unwanted:
        raise InvalidTransition(f"Call {call.call_id} is being ended.")
    attached = replace(
        call,
        attached_stream=event.stream_number,
        attached_at_ms=event.at_ms,
        carried_streams=call.carried_streams + 1,
        owner_task=event.task_id,
    )
    if attached.carries_early_stream:
        return attached  # its media begin when somebody answers (`MediaStarted`)
    if call.is_browser_call:
        attached = replace(attached, answered_at_ms=call.answered_at_ms or event.at_ms)
    return replace(attached, streaming_at_ms=_earliest_ms(call.streaming_at_ms, event.at_ms))


def _apply_report(call: Call, report: MediaReported) -> Call:
    number = report.stream_number
    if call.has_early_stream and number == 1 and not report.started:
        return streams.lose(call, number)
    return replace(call, left_stream=max(call.left_stream, number))


def _known_leg(known: Leg | None, new: Leg) -> Leg | None:
    """Return the latest ids, because a webhook need not name all of them. Without a control id,
    there is no leg to send commands to."""
    leg = Leg(
        new.call_control_id or (known.call_control_id if known else ""),
        new.call_leg_id or (known.call_leg_id if known else ""),
        new.call_session_id or (known.call_session_id if known else ""),
    )
    return leg if leg.call_control_id else known


def _earliest_ms(known: int | None, at_ms: int) -> int:
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
