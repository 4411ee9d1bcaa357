"""Translates the carrier's response to a command into an event of the call. This module is pure.
`refusals.py` has the codes."""

from collections.abc import Mapping
from types import MappingProxyType

from phonebridge.call.call import FOUND_ENDED, Call, CallStatus, Fault, Hangup, Leg
from phonebridge.call.commands import (
    Answer,
    CarrierCommand,
    Dial,
    HangUp,
    InformCaller,
    Reject,
    SendDigits,
    SpeakToCaller,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.events import (
    CallAnswered,
    CallerInformed,
    CallEvent,
    CallFailed,
    CallHungUp,
    DialAccepted,
    DigitsSettled,
    NextStreamRequested,
    StreamClosed,
)
from phonebridge.call.overdue import LegState, event_of_leg_state
from phonebridge.call.streams import MAX_FAILURES_AT_ONCE
from phonebridge.call.transfer import (
    BridgeLegs,
    DialTarget,
    HangUpTarget,
    SpeakSummary,
    TargetHungUp,
    TargetInitiated,
    TransferLeg,
    TransferRefused,
)
from phonebridge.errors import NotConfigured, TelnyxError, TelnyxRefused
from phonebridge.telnyx.refusals import tells_of_end, tells_of_target_end

# Telnyx's own names of the commands (Call Control, "Call commands").
NAMES: Mapping[type[CarrierCommand], str] = MappingProxyType(
    {
        Dial: "dial",
        Answer: "answer",
        Reject: "reject",
        StartStreaming: "streaming_start",
        StopStreaming: "streaming_stop",
        InformCaller: "speak",
        SendDigits: "send_dtmf",
        SpeakToCaller: "speak",
        HangUp: "hangup",
        TransferLeg: "transfer",
        DialTarget: "dial of transfer target",
        SpeakSummary: "speak",
        BridgeLegs: "bridge",
        HangUpTarget: "hangup of transfer target",
    }
)


def event_of_success(command: CarrierCommand, call: Call, leg: Leg | None) -> CallEvent | None:
    """Return the event of a successful command. `leg` is the new leg, if the response names one."""
    match command:
        case Dial() if leg:
            return DialAccepted(leg)
        case DialTarget() if leg and call.transfer:
            return TargetInitiated(call.transfer.number, leg.call_control_id)
        case SendDigits(number=number):
            return DigitsSettled(number)
        case StopStreaming(number):
            return StreamClosed(number)
        case InformCaller(number):
            return CallerInformed(number)
        case _:
            return None


def event_of_end(
    command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured, now_ms: int
) -> CallEvent | None:
    """Return the end of the leg, if the refusal shows it."""
    if isinstance(error, NotConfigured):
        return None
    if isinstance(command, HangUpTarget):
        is_over = call.transfer is not None and tells_of_target_end(error)
        number, end = (call.transfer.number, call.transfer.end) if call.transfer else (0, "")
        return TargetHungUp(number, end or FOUND_ENDED) if is_over else None
    if not tells_of_end(command, error):
        return None
    return CallHungUp(call.leg or Leg(""), Hangup(FOUND_ENDED, "unknown", now_ms))


def event_of_failure(
    command: CarrierCommand, call: Call, error: TelnyxError | NotConfigured, now_ms: int
) -> CallEvent | None:
    """Return the event of a command without effect. This holds only for a first attempt. A
    repetition may be refused because the first attempt succeeded."""
    match command:
        case StartStreaming(number) if call.streaming_at_ms is not None:
            # Most likely the carrier still holds an older stream open (90045). It may take seconds
            # to close the socket of a frozen task, so after some attempts the call waits.
            if not isinstance(error, TelnyxRefused):
                return None
            may_try_again = number < call.attached_stream + MAX_FAILURES_AT_ONCE
            return NextStreamRequested(number, has_room=may_try_again)
        case StopStreaming(number) if isinstance(error, TelnyxRefused):
            return StreamClosed(number)
        case InformCaller(number):
            return CallerInformed(number)
        case Dial() | Answer() | Reject() | StartStreaming():
            return CallFailed(Fault(f"{NAMES[type(command)]}_failed", str(error), now_ms))
        case TransferLeg() | DialTarget() | SpeakSummary() | BridgeLegs() if call.transfer:
            reason = error.title if isinstance(error, TelnyxRefused) else str(error)
            return TransferRefused(call.transfer.number, reason)
        case _:
            return None


def event_of_refused_repetition(
    command: CarrierCommand, call: Call, state: LegState, now_ms: int
) -> CallEvent | None:
    """Return what the carrier reports about the leg after it refused a repetition."""
    if event := event_of_leg_state(call, state, now_ms):
        return event
    if isinstance(command, InformCaller):
        return CallerInformed(command.stream_number)
    if isinstance(command, StopStreaming) and call.status is CallStatus.STREAMING:
        return StreamClosed(command.stream_number)
    if isinstance(command, Answer) and call.status is CallStatus.INCOMING and call.leg:
        # A leg that is up and cannot be answered was answered, by the first attempt.
        return CallAnswered(call.leg, now_ms, is_estimated=True)
    return None
