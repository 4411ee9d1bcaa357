import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter
from telnyx.types.call_dial_params import CallDialParams
from telnyx.types.calls.action_answer_params import ActionAnswerParams
from telnyx.types.calls.action_hangup_params import ActionHangupParams
from telnyx.types.calls.action_start_streaming_params import ActionStartStreamingParams

from phonebridge import stream_token
from phonebridge.call import (
    Answer,
    Call,
    CarrierCommand,
    Dial,
    Direction,
    HangUp,
    Leg,
    StartStreaming,
)
from phonebridge.call_config import CallConfig
from phonebridge.errors import NotConfigured
from phonebridge.telnyx.call_control import Line, request

CALL = Call(
    call_id="call-1",
    direction=Direction.OUTBOUND,
    to="+15550123",
    from_="+15550100",
    created_at_ms=0,
    leg=Leg("v3:leg"),
)
LINE = Line(
    connection_id="connection-1",
    webhook_url="https://phonebridge.example/webhooks/telnyx",
    media_url="wss://media.phonebridge.example",
    stream_token_secret="secret",
)
CALL_ID_BASE64 = base64.b64encode(b"call-1").decode()
NOW_MS = 1_800_000_000_000


def asked(
    command: CarrierCommand, call: Call = CALL, config: CallConfig | None = None
) -> tuple[str, dict[str, Any]]:
    made = request(command, call, config or CallConfig(), LINE, NOW_MS)
    return made.path, json.loads(made.body)


def test_dial() -> None:
    path, body = asked(Dial(), config=CallConfig(max_duration_seconds=600))
    assert path == "/calls"
    assert body == {
        "connection_id": "connection-1",
        "to": "+15550123",
        "from": "+15550100",
        "webhook_url": "https://phonebridge.example/webhooks/telnyx",
        "webhook_url_method": "POST",
        "client_state": CALL_ID_BASE64,
        "command_id": "call-1",
        "time_limit_secs": 660,
    }


def test_dial_with_a_stream() -> None:
    _, plain = asked(Dial())
    path, body = asked(Dial(1))
    token = body.pop("stream_auth_token")
    assert stream_token.verify("secret", token, "call-1", NOW_MS) == 1
    assert path == "/calls"
    assert body == plain | {
        "stream_url": "wss://media.phonebridge.example/media-bridge/call-1",
        "stream_track": "inbound_track",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
    }


def test_answer() -> None:
    assert asked(Answer()) == (
        "/calls/v3:leg/actions/answer",
        {
            "webhook_url": "https://phonebridge.example/webhooks/telnyx",
            "webhook_url_method": "POST",
            "client_state": CALL_ID_BASE64,
            "command_id": "call-1-answer",
        },
    )


def test_streaming_start_carries_a_token_for_this_stream_alone() -> None:
    path, body = asked(StartStreaming(2))
    token = body.pop("stream_auth_token")
    assert stream_token.verify("secret", token, "call-1", NOW_MS) == 2
    assert path == "/calls/v3:leg/actions/streaming_start"
    assert body == {
        "stream_url": "wss://media.phonebridge.example/media-bridge/call-1",
        "stream_track": "inbound_track",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "client_state": CALL_ID_BASE64,
        "command_id": "call-1-stream-2",
    }


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
    _, body = asked(command, config=CallConfig(record=True))
    assert body["record"] == "record-from-answer"


@pytest.mark.parametrize(("duration", "limit"), [(1, 61), (13_939, 13_999), (86_400, 14_000)])
def test_the_carrier_ends_what_we_forget(duration: int, limit: int) -> None:
    _, body = asked(Dial(), config=CallConfig(max_duration_seconds=duration))
    assert body["time_limit_secs"] == limit


def test_an_id_cannot_reach_another_path() -> None:
    path, _ = asked(HangUp(), replace(CALL, leg=Leg("v3:a/b?c#d e")))
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
        (HangUp(), ActionHangupParams),
    ],
)
def test_the_official_sdk_knows_every_field_and_value(
    command: CarrierCommand, params: object
) -> None:
    """Fields that it does not know would be lost, values would be refused."""
    _, body = asked(command, config=CallConfig(record=True))
    if "from" in body:
        body["from_"] = body.pop("from")
    assert TypeAdapter[Any](params).validate_python(body) == body
