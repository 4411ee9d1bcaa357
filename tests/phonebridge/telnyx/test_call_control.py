import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter
from telnyx.types.call_dial_params import CallDialParams
from telnyx.types.calls.action_answer_params import ActionAnswerParams
from telnyx.types.calls.action_bridge_params import ActionBridgeParams
from telnyx.types.calls.action_hangup_params import ActionHangupParams
from telnyx.types.calls.action_send_dtmf_params import ActionSendDtmfParams
from telnyx.types.calls.action_speak_params import ActionSpeakParams
from telnyx.types.calls.action_start_streaming_params import ActionStartStreamingParams
from telnyx.types.calls.action_stop_streaming_params import ActionStopStreamingParams
from telnyx.types.calls.action_transfer_params import ActionTransferParams

from phonebridge import stream_token
from phonebridge.call.call import FAREWELL, Call, Direction, Leg
from phonebridge.call.commands import (
    Answer,
    CarrierCommand,
    Dial,
    HangUp,
    InformCaller,
    SendDigits,
    SpeakToCaller,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.config import CallConfig, Fallback
from phonebridge.call.machine_detection import MachineDetection, Method, OnMachine
from phonebridge.call.tools import BuiltIn, Tools
from phonebridge.call.transfer import (
    BridgeLegs,
    DialTarget,
    HangUpTarget,
    SpeakSummary,
    TransferAttempt,
    TransferLeg,
)
from phonebridge.errors import NotConfigured
from phonebridge.telnyx.call_control import MAX_TIME_LIMIT_SECONDS, CallControlConfig, request
from phonebridge.telnyx.leg_name import call_and_announcement, call_and_transfer

CALL = Call(
    call_id="call-1",
    direction=Direction.OUTBOUND,
    to="+15550123",
    from_="+15550100",
    created_at_ms=0,
    leg=Leg("v3:leg"),
)
LINE = CallControlConfig(
    connection_id="connection-1",
    webhook_url="https://phonebridge.example/webhooks/telnyx",
    media_url="wss://media.phonebridge.example",
    stream_token_secret="secret",
)
RETRIES = {
    event_type: {"retries_ms": [1000, 3000, 8000, 18000, 30000]}
    for event_type in (
        "call.initiated",
        "call.answered",
        "call.bridged",
        "call.hangup",
        "call.speak.ended",
        "streaming.failed",
        "streaming.stopped",
    )
}
"""Telnyx allows five pauses, and 60 s in all."""
CALL_ID_BASE64 = base64.b64encode(b"call-1").decode()
NOW_MS = 1_800_000_000_000


def build_request(
    command: CarrierCommand, call: Call = CALL, config: CallConfig | None = None
) -> tuple[str, dict[str, Any]]:
    made = request(command, call, config or CallConfig(), LINE, NOW_MS)
    return made.path, json.loads(made.body)


def test_dial() -> None:
    path, body = build_request(Dial(), config=CallConfig(max_duration_seconds=600))
    assert path == "/calls"
    assert body == {
        "connection_id": "connection-1",
        "to": "+15550123",
        "from": "+15550100",
        "webhook_url": "https://phonebridge.example/webhooks/telnyx",
        "webhook_url_method": "POST",
        "webhook_retries_policies": RETRIES,
        "client_state": CALL_ID_BASE64,
        "command_id": "call-1",
        "time_limit_secs": 660,
    }


def test_dial_with_a_stream() -> None:
    _, plain = build_request(Dial())
    path, body = build_request(Dial(1))
    token = body.pop("stream_auth_token")
    assert stream_token.verify("secret", token, "call-1", NOW_MS) == 1
    assert path == "/calls"
    assert body == plain | {
        "stream_url": "wss://media.phonebridge.example/media-bridge/call-1/1",
        "stream_track": "inbound_track",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
    }


def test_answer() -> None:
    assert build_request(Answer()) == (
        "/calls/v3:leg/actions/answer",
        {
            "webhook_url": "https://phonebridge.example/webhooks/telnyx",
            "webhook_url_method": "POST",
            "webhook_retries_policies": RETRIES,
            "client_state": CALL_ID_BASE64,
            "command_id": "call-1-answer",
        },
    )


def test_streaming_start_carries_a_token_for_this_stream_alone() -> None:
    path, body = build_request(StartStreaming(2))
    token = body.pop("stream_auth_token")
    assert stream_token.verify("secret", token, "call-1", NOW_MS) == 2
    assert path == "/calls/v3:leg/actions/streaming_start"
    assert body == {
        "stream_url": "wss://media.phonebridge.example/media-bridge/call-1/2",
        "stream_track": "inbound_track",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "client_state": CALL_ID_BASE64,
        "command_id": "call-1-stream-2",
    }


@pytest.mark.parametrize(
    ("mode", "method", "detection"),
    [
        (OnMachine.HANG_UP, Method.PREMIUM, "premium"),
        (OnMachine.LEAVE_MESSAGE, Method.PREMIUM, "premium"),
        (OnMachine.CONTINUE, Method.STANDARD, "detect"),
        (OnMachine.LEAVE_MESSAGE, Method.STANDARD, "greeting_end"),
    ],
)
def test_a_machine_is_looked_for_as_wished(mode: OnMachine, method: Method, detection: str) -> None:
    wished = CallConfig(machine_detection=MachineDetection(mode, "Call back.", method))
    _, body = build_request(Dial(), config=wished)
    assert body["answering_machine_detection"] == detection
    config = body.get("answering_machine_detection_config")
    patient = {"greeting_total_analysis_time_millis": 30_000}
    assert config == (patient if detection == "greeting_end" else None)


def test_what_we_speak_is_as_wished() -> None:
    for command in (Dial(1), StartStreaming(1)):
        _, body = build_request(command, config=CallConfig(codec="PCMA"))
        assert body["stream_bidirectional_codec"] == "PCMA"


def test_hd_voice_is_asked_for_both_ways_and_at_its_rate() -> None:
    for command in (Dial(1), StartStreaming(1)):
        _, body = build_request(command, config=CallConfig(codec="L16"))
        assert (body["stream_codec"], body["stream_bidirectional_codec"]) == ("L16", "L16")
        assert body["stream_bidirectional_sampling_rate"] == 16_000


def test_hangup_needs_no_line() -> None:
    made = request(HangUp(), CALL, CallConfig(), None, NOW_MS)
    assert made.path == "/calls/v3:leg/actions/hangup"
    assert json.loads(made.body) == {
        "client_state": CALL_ID_BASE64,
        "command_id": "call-1-hangup",
    }


@pytest.mark.parametrize("command", [Dial(), Dial(1), Answer(), StartStreaming(1)])
def test_everything_else_does(command: CarrierCommand) -> None:
    with pytest.raises(NotConfigured):
        request(command, CALL, CallConfig(), None, NOW_MS)


@pytest.mark.parametrize("command", [Dial(), Answer()])
def test_a_call_is_recorded_from_its_answer_on(command: CarrierCommand) -> None:
    _, body = build_request(command, config=CallConfig(record=True))
    assert body["record"] == "record-from-answer"


@pytest.mark.parametrize(("duration", "limit"), [(1, 61), (13_939, 13_999), (86_400, 14_000)])
def test_the_carrier_ends_what_we_forget(duration: int, limit: int) -> None:
    _, body = build_request(Dial(), config=CallConfig(max_duration_seconds=duration))
    assert body["time_limit_secs"] == limit


def test_whom_the_agent_transfers_to_is_not_cut_off_by_the_agents_own_limit() -> None:
    config = CallConfig(max_duration_seconds=60, tools=Tools(built_in=(BuiltIn.TRANSFER_CALL,)))
    _, body = build_request(Dial(), config=config)
    assert body["time_limit_secs"] == MAX_TIME_LIMIT_SECONDS


# Transfers

TARGET_STATE = base64.b64encode(b"call-1/transfer/2").decode()
BLIND = replace(CALL, transfer=TransferAttempt(number=2, to="+15550142"))
WARM = replace(
    CALL,
    transfer=TransferAttempt(number=2, to="+15550142", summary="A caller.", target="v3:target"),
)


def test_a_blind_transfer() -> None:
    assert build_request(TransferLeg(), BLIND) == (
        "/calls/v3:leg/actions/transfer",
        {
            "to": "+15550142",
            "from": "+15550100",
            "timeout_secs": 30,
            "webhook_url": "https://phonebridge.example/webhooks/telnyx",
            "webhook_url_method": "POST",
            "webhook_retries_policies": RETRIES,
            "client_state": CALL_ID_BASE64,
            "target_leg_client_state": TARGET_STATE,
            "command_id": "call-1-transfer-2",
        },
    )


def test_the_target_sees_our_number_unless_another_is_asked_for() -> None:
    inbound = replace(BLIND, direction=Direction.INBOUND)
    _, body = build_request(TransferLeg(), inbound)
    assert body["from"] == CALL.to, "the caller dialled it"
    other = replace(BLIND, transfer=TransferAttempt(number=2, to="+15550142", from_="+15550177"))
    _, body = build_request(TransferLeg(), other)
    assert body["from"] == "+15550177"


def test_a_warm_transfer_step_by_step() -> None:
    path, body = build_request(DialTarget(), WARM)
    assert path == "/calls"
    assert (body["to"], body["from"], body["link_to"]) == ("+15550142", "+15550100", "v3:leg")
    assert (body["client_state"], body["connection_id"]) == (TARGET_STATE, "connection-1")
    path, body = build_request(SpeakSummary(), WARM)
    assert (path, body["payload"]) == ("/calls/v3:target/actions/speak", "A caller.")
    assert body["client_state"] == TARGET_STATE
    path, body = build_request(BridgeLegs(), WARM)
    assert path == "/calls/v3:leg/actions/bridge"
    assert (body["call_control_id"], body["client_state"]) == ("v3:target", CALL_ID_BASE64)
    path, body = build_request(HangUpTarget(), WARM)
    assert path == "/calls/v3:target/actions/hangup"


def test_keys_are_pressed_once_each_time_they_are_asked_for() -> None:
    path, body = build_request(SendDigits("1w2#", 250))
    assert path == "/calls/v3:leg/actions/send_dtmf"
    assert (body["digits"], body["duration_millis"]) == ("1w2#", 250)
    repeated = request(SendDigits("1w2#", 250), CALL, CallConfig(), LINE, NOW_MS + 1)
    assert json.loads(repeated.body)["command_id"] == body["command_id"]
    _, later = build_request(SendDigits("1w2#", 250, number=2))
    assert later["command_id"] != body["command_id"]


def test_an_id_cannot_reach_another_path() -> None:
    path, _ = build_request(HangUp(), replace(CALL, leg=Leg("v3:a/b?c#d e")))
    assert path == "/calls/v3:a%2Fb%3Fc%23d%20e/actions/hangup"


def test_the_secret_does_not_show() -> None:
    assert "secret=" not in repr(LINE)


@pytest.mark.parametrize(
    ("command", "params"),
    [
        (Dial(), CallDialParams),
        (Dial(1), CallDialParams),
        (Answer(), ActionAnswerParams),
        (StartStreaming(1), ActionStartStreamingParams),
        (StopStreaming(1), ActionStopStreamingParams),
        (InformCaller(1), ActionSpeakParams),
        (SendDigits("1w2#", 250), ActionSendDtmfParams),
        (SpeakToCaller("Goodbye."), ActionSpeakParams),
        (HangUp(), ActionHangupParams),
        (TransferLeg(), ActionTransferParams),
        (DialTarget(), CallDialParams),
        (SpeakSummary(), ActionSpeakParams),
        (BridgeLegs(), ActionBridgeParams),
        (HangUpTarget(), ActionHangupParams),
    ],
)
def test_the_official_sdk_knows_every_field_and_value(
    command: CarrierCommand, params: object
) -> None:
    """Fields that the SDK does not know would be ignored, and unknown values refused."""
    _, body = build_request(command, WARM, CallConfig(record=True))
    # Names of the SDK for fields that Python cannot name, or that it names twice.
    names = {"from": "from_"}
    if isinstance(command, BridgeLegs):
        names["call_control_id"] = "call_control_id_to_bridge_with"
    body = {names.get(name, name): value for name, value in body.items()}
    known = TypeAdapter[Any](params).validate_python(body)
    for policy in known.get("webhook_retries_policies", {}).values():
        policy["retries_ms"] = list(policy["retries_ms"])  # pydantic validates an iterable lazily
    assert known == body


@pytest.mark.parametrize(
    ("language", "begins"), [("de-CH", "Einen"), ("DE", "Einen"), ("it", "One"), (None, "One")]
)
def test_the_carrier_speaks_the_language_of_the_call(language: str | None, begins: str) -> None:
    _, body = build_request(InformCaller(1), config=CallConfig(language=language))
    assert body["payload"].startswith(begins)
    assert body["command_id"] == "call-1-inform-caller-1"


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (InformCaller(3), 3),
        (InformCaller(FAREWELL, is_goodbye=True), FAREWELL),
        (SpeakToCaller("Goodbye."), 2),
    ],
)
def test_words_of_the_carrier_have_their_number_in_the_state(
    command: CarrierCommand, number: int
) -> None:
    _, body = build_request(command, replace(WARM, attached_stream=2))
    name = base64.b64decode(body["client_state"]).decode()
    assert call_and_announcement(name) == (WARM.call_id, number)
    assert call_and_transfer(name) == (WARM.call_id, None)


@pytest.mark.parametrize("command", [StartStreaming(4), StopStreaming(4), HangUp(), TransferLeg()])
def test_a_command_during_an_announcement_keeps_its_number_in_the_state(
    command: CarrierCommand,
) -> None:
    """Telnyx returns the state of the last command, also with the end of earlier words."""
    _, body = build_request(command, replace(WARM, announced_stream=3))
    name = base64.b64decode(body["client_state"]).decode()
    assert call_and_announcement(name) == (WARM.call_id, 3)


WAIT, RETRY, LAST, END = (
    InformCaller(1),
    InformCaller(3, is_retry=True),
    InformCaller(5, is_goodbye=True),
    InformCaller(FAREWELL, is_goodbye=True),
)
SAY, NUMBER, GOODBYE = "We are sorry.", "+15550142", "We are sorry, the connection is lost"


@pytest.mark.parametrize(
    ("fallback", "command", "begins"),
    [
        (None, WAIT, "One moment"),
        (None, LAST, GOODBYE),
        (Fallback(say=SAY, transfer_to=NUMBER), RETRY, "One moment"),
        (None, END, GOODBYE),
        (Fallback(say=SAY), WAIT, "One moment"),
        (Fallback(say=SAY), LAST, SAY),
        (Fallback(say=SAY), END, SAY),
        (Fallback(transfer_to=NUMBER), LAST, "One moment"),
        (Fallback(transfer_to=NUMBER), END, GOODBYE),
        (Fallback(say=SAY, transfer_to=NUMBER), WAIT, SAY),
        (Fallback(say=SAY, transfer_to=NUMBER), LAST, SAY),
        (Fallback(say=SAY, transfer_to=NUMBER), END, GOODBYE),
    ],
)
def test_the_carrier_says_what_follows_and_the_words_of_the_fallback_once(
    fallback: Fallback | None, command: InformCaller, begins: str
) -> None:
    """Nobody says goodbye to a caller who is about to be connected."""
    _, body = build_request(command, config=CallConfig(fallback=fallback))
    assert body["payload"].startswith(begins)
    assert body["command_id"] == f"call-1-inform-caller-{command.stream_number}"
