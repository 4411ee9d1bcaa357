"""Frames of the media stream, as what happened."""

import base64
import json

import pytest

from media_bridge import commands, events, telnyx_stream
from media_bridge.audio.codecs import Codec
from phonebridge.settings import ByteOrder

PAYLOAD = bytes(range(160))
LINE = telnyx_stream.TelnyxStream(Codec.PCMU, ByteOrder.BIG)


def frame(event: str, **fields: object) -> str:
    return json.dumps({"event": event, "stream_id": "32DE0DEA", **fields})


def media(**fields: object) -> str:
    payload = {"payload": base64.b64encode(PAYLOAD).decode(), **fields}
    return frame("media", sequence_number="4", media=payload)


def start(**fields: object) -> str:
    leg = {
        "user_id": "3E6F",
        "call_control_id": "v3:leg",
        "client_state": base64.b64encode(b"call-1").decode(),
        "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
    }
    return frame("start", sequence_number="1", start=leg | fields)


def test_a_frame_of_the_caller() -> None:
    assert LINE.decode(media(track="inbound", chunk="2", timestamp="5")) == events.CallerAudio(
        PAYLOAD, 2
    )


def test_frames_need_not_be_numbered_and_tracks_may_be_named_as_in_the_rest_api() -> None:
    assert LINE.decode(media(track="inbound_track")) == events.CallerAudio(PAYLOAD, None)


@pytest.mark.parametrize(
    "ours",
    [
        media(track="outbound", chunk="2"),
        media(track="outbound_track", chunk="2"),
        media(track="inbound", payload=""),
    ],
)
def test_what_is_not_the_callers_sound_is_not_heard(ours: str) -> None:
    assert LINE.decode(ours) is None


def test_the_stream_starts() -> None:
    assert LINE.decode(start()) == events.StreamStarted("v3:leg", "call-1", "PCMA", 8000)


@pytest.mark.parametrize(
    ("state", "read"),
    [(None, None), ("", None), ("not base64!", "not base64!"), ("état", "état"), ("/w==", "/w==")],
)
def test_a_client_state_that_is_not_ours_is_kept_as_it_is(
    state: str | None, read: str | None
) -> None:
    assert LINE.decode(start(client_state=state)) == events.StreamStarted(
        "v3:leg", read, "PCMA", 8000
    )


def test_keys_of_a_phone() -> None:
    for digit in "0123456789ABCD*#":
        assert LINE.decode(frame("dtmf", dtmf={"digit": digit})) == events.DigitPressed(digit)
    assert LINE.decode(frame("dtmf", dtmf={"digit": "a"})) == events.DigitPressed("A")
    for digit in ("", "12", "e"):
        unknown = events.MalformedFrameReceived("a dtmf of no known key")
        assert LINE.decode(frame("dtmf", dtmf={"digit": digit})) == unknown


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (commands.PlayAudio(b"\xff\x7f"), {"event": "media", "media": {"payload": "/38="}}),
        (commands.MarkPlayback("heard-1"), {"event": "mark", "mark": {"name": "heard-1"}}),
        (commands.ClearPlayback(), {"event": "clear"}),
    ],
)
def test_what_is_told_to_the_carrier(
    command: telnyx_stream.PhoneCommand, told: dict[str, object]
) -> None:
    assert json.loads(LINE.encode(command)) == told


def test_the_other_frames() -> None:
    assert LINE.decode(frame("stop", stop={"user_id": "3E6F"})) == events.StreamStopped()
    complaint = {"code": 100004, "title": "invalid_media", "detail": "not base64"}
    assert LINE.decode(frame("error", payload=complaint)) == events.StreamErrorReceived(
        "invalid_media: not base64"
    )
    assert LINE.decode(frame("connected", version="1.0.0")) is None
    assert LINE.decode(frame("mark", mark={"name": "turn-7"})) == events.MarkReturned("turn-7")
    assert LINE.decode(frame("surprise")) is None


@pytest.mark.parametrize(
    "noise", ["", "{", "[]", '"media"', b"\xff\x00", media(payload="%%%"), frame("media")]
)
def test_what_is_no_frame_is_told(noise: str | bytes) -> None:
    assert isinstance(LINE.decode(noise), events.MalformedFrameReceived)


@pytest.mark.parametrize(
    ("order", "wire"),
    [(ByteOrder.BIG, b"\x01\x02\xff\x00"), (ByteOrder.LITTLE, b"\x02\x01\x00\xff")],
)
def test_l16_is_turned_into_pcm16_and_back_as_the_setting_says(
    order: ByteOrder, wire: bytes
) -> None:
    hd = telnyx_stream.TelnyxStream(Codec.L16, order)
    hd.decode(start(media_format={"encoding": "L16", "sample_rate": 16000, "channels": 1}))
    pcm = b"\x02\x01\x00\xff"
    payload = base64.b64encode(wire + b"\x7f").decode()  # half a sample is none
    assert hd.decode(media(payload=payload)) == events.CallerAudio(pcm, None)
    told = json.loads(hd.encode(commands.PlayAudio(pcm)))
    assert base64.b64decode(told["media"]["payload"]) == wire


def test_a_line_that_falls_back_to_g711_is_heard_untouched() -> None:
    hd = telnyx_stream.TelnyxStream(Codec.L16, ByteOrder.BIG)
    hd.decode(start())
    assert hd.decode(media(track="inbound", chunk="2")) == events.CallerAudio(PAYLOAD, 2)
