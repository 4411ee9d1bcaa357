"""Turns the commands of a call into requests of the Telnyx Call Control API. Pure: `client.py`
sends them.

Every request has a `command_id`, one per intent. Telnyx ignores a repetition within 60 s
("Receiving webhooks for programmable voice"), so retries are safe.
"""

import base64
from dataclasses import dataclass, field
from typing import Any, assert_never
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from phonebridge import stream_token
from phonebridge.call.call import Call, Direction
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
from phonebridge.call.config import CallConfig
from phonebridge.call.machine_detection import MachineDetection, Method, OnMachine
from phonebridge.call.tools import BuiltIn
from phonebridge.call.transfer import (
    BridgeLegs,
    DialTarget,
    HangUpTarget,
    SpeakSummary,
    TransferAttempt,
    TransferCommand,
    TransferLeg,
)
from phonebridge.errors import NotConfigured
from phonebridge.telnyx.announcements import announcement
from phonebridge.telnyx.leg_name import announcement_name, leg_name
from phonebridge.telnyx.request_bodies import (
    BridgeFields,
    CommandFields,
    DetectionConfig,
    DialFields,
    DialTargetFields,
    NewLegFields,
    RejectFields,
    SendDtmfFields,
    SpeakFields,
    StreamFields,
    TransferFields,
)

MAX_TIME_LIMIT_SECONDS = 14_000
"""Telnyx's pages name 14400 as the limit, its error 90029 names 14000."""

MAX_MACHINE_GREETING_MS = 30_000
"""How long Telnyx listens to the greeting of an answering machine. By default, it stops after 5
s."""
TIME_LIMIT_GRACE_SECONDS = 60
"""Telnyx's own limit is the last resort. Our time limit ends the call earlier, with a goodbye."""

HD_RATE_HZ = 16_000
"""Sample rate of L16. Telnyx sends it at no other rate ("Media Streaming")."""
RING_SECONDS = 30
"""How long the target of a transfer may ring. This is Telnyx's default for a dial."""


@dataclass(frozen=True, slots=True)
class CallControlConfig:
    """Our side of the connection, which Telnyx needs to place, accept and stream calls."""

    media_url: str
    """The ws or wss base URL of the media container, without a trailing slash."""
    stream_token_secret: str = field(repr=False)
    connection_id: str
    webhook_url: str


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A POST request: the path below the API's base, and the JSON body."""

    path: str
    body: bytes


def request(
    command: CarrierCommand,
    call: Call,
    config: CallConfig,
    control: CallControlConfig | None,
    now_ms: int,
) -> ControlRequest:
    """Build the request for a command. Raises `NotConfigured` if the command needs a missing
    setting."""
    match command:
        case Dial() | Answer() | StartStreaming():
            return _media_request(command, call, config, _require_control(control), now_ms)
        case Reject():
            return _action("reject", call, _reject(call))
        case StopStreaming(stream_number):
            stop = _command(call, f"stop-stream-{stream_number}")
            return _action("streaming_stop", call, stop)
        case SendDigits():
            return _action("send_dtmf", call, _send_dtmf(call, command))
        case InformCaller() | SpeakToCaller():
            return _action("speak", call, _sentence(call, config, command))
        case HangUp():
            return _action("hangup", call, _command(call, "hangup"))
        case TransferLeg() | DialTarget() | SpeakSummary() | BridgeLegs() | HangUpTarget():
            assert call.transfer is not None, "the lifecycle asks only for steps of a transfer"
            return _step(command, call, call.transfer, control)
        case _:
            assert_never(command)


def _media_request(
    command: Dial | Answer | StartStreaming,
    call: Call,
    config: CallConfig,
    control: CallControlConfig,
    now_ms: int,
) -> ControlRequest:
    match command:
        case Dial(number):
            stream = _stream(call, number, config, control, now_ms) if number else None
            return ControlRequest("/calls", _body(_dial(call, config, control), stream))
        case Answer():
            return _action("answer", call, _answer(call, config, control))
        case StartStreaming(number):
            stream = _stream(call, number, config, control, now_ms)
            return _action("streaming_start", call, _command(call, f"stream-{number}"), stream)
        case _:
            assert_never(command)


def _step(
    command: TransferCommand,
    call: Call,
    transfer: TransferAttempt,
    control: CallControlConfig | None,
) -> ControlRequest:
    number = transfer.number
    match command:
        case TransferLeg():
            return _action("transfer", call, _transfer(call, transfer, _require_control(control)))
        case DialTarget():
            return ControlRequest(
                "/calls", _body(_dial_target(call, transfer, _require_control(control)))
            )
        case SpeakSummary():
            return _action_on(transfer.target, "speak", _speak(call, transfer))
        case BridgeLegs():
            return _action("bridge", call, _bridge(call, transfer))
        case HangUpTarget():
            body = _command(call, f"hangup-target-{number}", number)
            return _action_on(transfer.target, "hangup", body)
        case _:
            assert_never(command)


_JSON = msgspec.json.Encoder()


def _dial(call: Call, config: CallConfig, control: CallControlConfig) -> DialFields:
    return DialFields(
        client_state=_client_state(call),
        command_id=call.call_id,
        webhook_url=control.webhook_url,
        record=_record(config),
        connection_id=control.connection_id,
        to=call.to,
        from_=call.from_,
        time_limit_secs=_time_limit(config),
        **_detection(config.machine_detection),
    )


def _time_limit(config: CallConfig) -> int:
    """Return Telnyx's time limit for an outbound leg.

    The limit still applies after a transfer and cannot be extended then. An agent that may transfer
    must not cut off the colleague. So its calls get Telnyx's maximum, and only our own timer limits
    the agent's part.
    """
    if BuiltIn.TRANSFER_CALL in config.tools.built_in:
        return MAX_TIME_LIMIT_SECONDS
    longest = config.max_duration_seconds + TIME_LIMIT_GRACE_SECONDS
    return min(longest, MAX_TIME_LIMIT_SECONDS)


def _detection(wanted: MachineDetection | None) -> dict[str, Any]:
    """Return the fields for machine detection. `premium` reports a beep by default. With standard
    detection, `greeting_end` waits for a beep or a silence ("Answering Machine Detection")."""
    match wanted:
        case None:
            return {}
        case MachineDetection(method=Method.PREMIUM):
            return {"answering_machine_detection": "premium"}
        case MachineDetection(mode=OnMachine.LEAVE_MESSAGE):
            return {
                "answering_machine_detection": "greeting_end",
                "answering_machine_detection_config": DetectionConfig(MAX_MACHINE_GREETING_MS),
            }
        case _:
            return {"answering_machine_detection": "detect"}


def _answer(call: Call, config: CallConfig, control: CallControlConfig) -> NewLegFields:
    return NewLegFields(
        client_state=_client_state(call),
        command_id=f"{call.call_id}-answer",
        webhook_url=control.webhook_url,
        record=_record(config),
    )


def _reject(call: Call) -> RejectFields:
    """Choose the cause of a rejection. `NOT_FOUND` is SIP's 404: the caller hears that the number
    does not exist."""
    return RejectFields(
        client_state=_client_state(call), command_id=f"{call.call_id}-reject", cause="NOT_FOUND"
    )


def _stream(
    call: Call, number: int, config: CallConfig, control: CallControlConfig, now_ms: int
) -> StreamFields:
    return StreamFields(
        stream_url=f"{control.media_url}/media-bridge/{call.call_id}/{number}",
        stream_auth_token=stream_token.issue(
            control.stream_token_secret, call.call_id, number, now_ms
        ),
        stream_bidirectional_codec=config.codec,
        **_hd_voice(config),
    )


def _hd_voice(config: CallConfig) -> dict[str, Any]:
    """Return the fields for HD voice. Without a rate, the carrier plays L16 at 8 kHz."""
    if config.codec != "L16":
        return {}
    return {"stream_codec": "L16", "stream_bidirectional_sampling_rate": HD_RATE_HZ}


def _command(call: Call, intent: str, transfer: int | None = None) -> CommandFields:
    return CommandFields(
        client_state=_client_state(call, transfer), command_id=f"{call.call_id}-{intent}"
    )


def _send_dtmf(call: Call, command: SendDigits) -> SendDtmfFields:
    return SendDtmfFields(
        client_state=_client_state(call),
        command_id=f"{call.call_id}-dtmf-{command.number}",
        digits=command.digits,
        duration_millis=command.duration_ms,
    )


def _transfer(call: Call, transfer: TransferAttempt, control: CallControlConfig) -> TransferFields:
    return TransferFields(
        client_state=_client_state(call),
        command_id=f"{call.call_id}-transfer-{transfer.number}",
        to=transfer.to,
        from_=transfer.from_ or _our_number(call),
        timeout_secs=RING_SECONDS,
        target_leg_client_state=_client_state(call, transfer.number),
        webhook_url=control.webhook_url,
    )


def _dial_target(
    call: Call, transfer: TransferAttempt, control: CallControlConfig
) -> DialTargetFields:
    return DialTargetFields(
        client_state=_client_state(call, transfer.number),
        command_id=f"{call.call_id}-transfer-{transfer.number}",
        webhook_url=control.webhook_url,
        connection_id=control.connection_id,
        to=transfer.to,
        from_=transfer.from_ or _our_number(call),
        timeout_secs=RING_SECONDS,
        link_to=_control_id(call),
    )


def _speak(call: Call, transfer: TransferAttempt) -> SpeakFields:
    return SpeakFields(
        client_state=_client_state(call, transfer.number),
        command_id=f"{call.call_id}-speak-{transfer.number}",
        payload=transfer.summary,
    )


def _sentence(call: Call, config: CallConfig, command: InformCaller | SpeakToCaller) -> SpeakFields:
    match command:
        case SpeakToCaller(text):
            number, intent = call.attached_stream, "goodbye"
        case InformCaller(number):
            intent = f"inform-caller-{number}"
            text = announcement(config, command)
    return SpeakFields(
        client_state=_base64(announcement_name(call.call_id, number)),
        command_id=f"{call.call_id}-{intent}",
        payload=text,
    )


def _bridge(call: Call, transfer: TransferAttempt) -> BridgeFields:
    return BridgeFields(
        client_state=_client_state(call),
        command_id=f"{call.call_id}-bridge-{transfer.number}",
        call_control_id=transfer.target,
    )


def _our_number(call: Call) -> str:
    """Return the number to show to a transfer's target.

    By default, Telnyx would show the number that the caller's leg went to. For an outbound call
    that is the callee's own number, which the account may not use.
    """
    return call.to if call.direction is Direction.INBOUND else call.from_


def _action(
    name: str, call: Call, command: CommandFields, stream: StreamFields | None = None
) -> ControlRequest:
    return _action_on(_control_id(call), name, command, stream)


def _action_on(
    control_id: str, name: str, command: CommandFields, stream: StreamFields | None = None
) -> ControlRequest:
    path = f"/calls/{quote(control_id, safe=':')}/actions/{name}"
    return ControlRequest(path, _body(command, stream))


def _body(command: CommandFields, stream: StreamFields | None = None) -> bytes:
    return _JSON.encode(msgspec.to_builtins(command) | msgspec.to_builtins(stream or {}))


def _control_id(call: Call) -> str:
    assert call.leg is not None, "the lifecycle asks only for what can be done to a known leg"
    return call.leg.call_control_id


def _require_control(control: CallControlConfig | None) -> CallControlConfig:
    if control is None:
        raise NotConfigured(
            "Dialling, answering and streaming need the settings of the Telnyx connection."
        )
    return control


def _client_state(call: Call, transfer: int | None = None) -> str:
    """Return the name of the leg. Commands after an announcement keep its number, because its words
    may end later, and `call.speak.ended` has the state of the last command."""
    if transfer is None and call.announced_stream:
        return _base64(announcement_name(call.call_id, call.announced_stream))
    return _base64(leg_name(call.call_id, transfer))


def _base64(name: str) -> str:
    return base64.b64encode(name.encode()).decode()


def _record(config: CallConfig) -> str | UnsetType:
    """Ask for a recording if the call wants one. Telnyx's defaults are two channels and mp3."""
    return "record-from-answer" if config.record else UNSET
