"""What each event adds to what is known of a call. Facts only grow, and of two that contradict each
other the earlier counts, so that every order of the same events ends in the same record."""

from dataclasses import replace

from phonebridge.call import machine_detection, transfer
from phonebridge.call.call import FOUND_ENDED, Call, CallStatus, EarlyStream, Fault, Hangup, Leg
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
    LegEvent,
    LegOutlivedCall,
    MediaAttached,
    MediaEvent,
    MediaReported,
    MediaStarted,
    StreamingFailed,
)
from phonebridge.call.machine_detection import Detection, DetectionEnded, GreetingEnded
from phonebridge.call.transfer import CallTransferred, TransferEvent, TransferRequested
from phonebridge.errors import InvalidTransition


def apply_event(call: Call, event: CallEvent) -> Call:
    if _is_too_late(call, event):
        return call
    return (
        _apply_transfer_event(call, event)
        if isinstance(event, TransferEvent)
        else _apply_leg_event(call, event)
    )


def _is_too_late(call: Call, event: CallEvent) -> bool:
    """Once our part of a call is over, what we failed at or asked for changes nothing: a socket
    that breaks because the caller hung up is no fault. The carrier's facts count always."""
    match call.status:
        case CallStatus.ENDED:
            return isinstance(event, CallFailed | EndRequested)
        case CallStatus.TRANSFERRED:
            return isinstance(event, CallFailed)
        case _:
            return False


def _apply_leg_event(call: Call, event: LegEvent) -> Call:
    match event:
        case CallArrived(leg) | CallTurnedAway(leg) | CallInitiated(leg):
            return replace(call, leg=_known_leg(call.leg, leg))
        case DialAccepted(leg):
            # Webhooks may come before the dial's answer, and may name another id than it does:
            # theirs is the one that lives on.
            return replace(call, leg=_known_leg(leg, call.leg) if call.leg else leg)
        case CallAnswered(leg, at_ms):
            answered_at_ms = _earliest_ms(call.answered_at_ms, at_ms)
            return replace(call, leg=_known_leg(call.leg, leg), answered_at_ms=answered_at_ms)
        case CallHungUp(leg, hangup):
            first = _first_hangup(call.hangup, hangup)
            return replace(call, leg=_known_leg(call.leg, leg), hangup=first)
        case CallFailed(fault):
            return replace(call, fault=_first_fault(call.fault, fault))
        case EndRequested(by):
            return replace(call, end_requested_by=call.end_requested_by or by)
        case DetectionEnded() | GreetingEnded():
            return replace(call, detection=machine_detection.apply_event(call.detection, event))
        case DigitsRequested() | LegOutlivedCall():
            return call
        case _:
            return _apply_media_event(call, event)


def _apply_media_event(call: Call, event: MediaEvent | CallRequested) -> Call:
    match event:
        case CallRequested(with_stream, on_machine):
            early = EarlyStream() if with_stream else None
            detection = Detection(on_machine) if on_machine else None
            number = int(with_stream)
            return replace(call, early_stream=early, stream_number=number, detection=detection)
        case MediaAttached():
            return _attach(call, event)
        case MediaStarted(at_ms):
            return replace(call, streaming_at_ms=_earliest_ms(call.streaming_at_ms, at_ms))
        case MediaReported():
            return _apply_report(call, event)
        case StreamingFailed(fault):
            return _apply_streaming_failure(call, fault)
        case FirstStreamFailed(fault):
            return replace(call, stream_fault=fault)


def _apply_transfer_event(call: Call, event: TransferEvent) -> Call:
    known = call.transfer
    if isinstance(event, CallTransferred):
        return replace(call, transferred_at_ms=_earliest_ms(call.transferred_at_ms, event.at_ms))
    if isinstance(event, TransferRequested) and known and not known.end:
        raise InvalidTransition(f"A transfer of call {call.call_id} is under way already.")
    return replace(call, transfer=transfer.apply_event(known, event))


def _attach(call: Call, event: MediaAttached) -> Call:
    if not call.attached_stream < event.stream_number <= call.stream_number:
        raise InvalidTransition(
            f"Stream {event.stream_number} of call {call.call_id} was used before or never opened."
        )
    attached = replace(call, attached_stream=event.stream_number, owner_task=event.task_id)
    if call.early_stream and event.stream_number == 1:
        return attached  # its media begin when somebody answers (`MediaStarted`)
    return replace(attached, streaming_at_ms=_earliest_ms(call.streaming_at_ms, event.at_ms))


def _apply_report(call: Call, report: MediaReported) -> Call:
    reported = replace(call, activity=report.activity)
    if call.early_stream and not report.started:
        return replace(reported, early_stream=EarlyStream(left=True))
    return reported


def _apply_streaming_failure(call: Call, fault: Fault) -> Call:
    """Of several failures the earliest is the first stream's, whichever is heard of first."""
    first = call.stream_fault
    if first:
        first, fault = sorted((first, fault), key=_age)
    return replace(call, stream_fault=first, fault=_first_fault(call.fault, fault))


def _known_leg(known: Leg | None, new: Leg) -> Leg | None:
    """The latest ids; a webhook need not name them all. Without a control id there is no leg that
    a command could be sent to."""
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
