import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phonebridge.errors import TelnyxError
from phonebridge.telnyx.media import (
    CLEAR,
    Chunk,
    Connected,
    Dtmf,
    DtmfDigit,
    ErrorFrame,
    Frame,
    MalformedFrame,
    Mark,
    MarkName,
    Media,
    MediaFormat,
    Start,
    Stop,
    StreamedLeg,
    StreamError,
    UnknownFrame,
    decode,
    encode_media,
)

LEG = {
    "user_id": "user-1",
    "call_control_id": "v3:leg",
    "call_session_id": "session-1",
    "from": "+15550123",
    "to": "+15550100",
    "tags": ["reception"],
    "client_state": "Y2FsbC0x",
    "custom_parameters": {"customer_id": "customer-1"},
    "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
}
SOUND = {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": "c291bmQ="}
STARTED_LEG = StreamedLeg(MediaFormat("PCMA"), "v3:leg", "session-1", "Y2FsbC0x")


def frame(event: str, **fields: object) -> str:
    return json.dumps({"event": event, "stream_id": "stream-1", "sequence_number": "4"} | fields)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"event":"connected","version":"1.0.0"}', Connected()),
        (frame("start", start=LEG), Start(STARTED_LEG, "stream-1")),
        (frame("media", media=SOUND), Media(Chunk(b"sound", "inbound", 2))),
        (frame("dtmf", dtmf={"digit": "1"}), Dtmf(DtmfDigit("1"))),
        (frame("mark", mark={"name": "turn-7"}), Mark(MarkName("turn-7"))),
        (frame("stop", stop={"user_id": "user-1", "call_control_id": "v3:leg"}), Stop()),
        (
            frame("error", payload={"code": 100004, "title": "invalid_media", "detail": "bad"}),
            ErrorFrame(StreamError(100004, "invalid_media", "bad")),
        ),
    ],
)
def test_every_documented_frame(text: str, meant: Frame) -> None:
    assert decode(text) == meant
    assert decode(text.encode()) == meant


def test_the_token_comes_with_the_connection() -> None:
    token = {"x-telnyx-streaming-auth-token": "1.2.abc"}
    connected = decode(frame("connected", connected=token))
    assert isinstance(connected, Connected)
    assert connected.auth_token == "1.2.abc"


@pytest.mark.parametrize("connected", [None, {}])
def test_a_connection_may_come_without_a_token(connected: Mapping[str, str] | None) -> None:
    bare = decode(frame("connected", connected=connected))
    assert isinstance(bare, Connected)
    assert bare.auth_token is None


def test_numbers_may_be_numbers_or_text() -> None:
    assert decode(frame("media", media=SOUND | {"chunk": 2})) == decode(frame("media", media=SOUND))
    complaint = decode(frame("error", payload={"code": "100003"}))
    assert complaint == ErrorFrame(StreamError(100003))


@pytest.mark.parametrize(
    "field", ["call_control_id", "client_state", "call_session_id", "from", "tags"]
)
def test_a_leg_may_keep_things_to_itself(field: str) -> None:
    assert isinstance(decode(frame("start", start=LEG | {field: None})), Start)


@pytest.mark.parametrize("rest", ["", ',"media":7,"payload":[]', ',"stream_id":null'])
def test_a_new_kind_of_frame_is_no_error(rest: str) -> None:
    assert decode(f'{{"event":"whisper"{rest}}}') == UnknownFrame("whisper")


ODD = [7, 4.5, True, "odd", ["x"], {"x": 1}]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize(
    ("event", "field", "body"),
    [
        ("start", "start", LEG),
        ("media", "media", SOUND),
        ("error", "payload", {"code": 100004, "title": "invalid_media", "detail": "bad"}),
        ("connected", "connected", {"x-telnyx-streaming-auth-token": "1.2.abc"}),
    ],
)
def test_an_odd_optional_field_voids_no_frame(
    event: str, field: str, body: Mapping[str, object], odd: object
) -> None:
    whole = decode(frame(event, **{field: body}))
    required = {"media_format", "payload"}
    for name in body.keys() - required:
        assert type(decode(frame(event, **{field: {**body, name: odd}}))) is type(whole)
    assert type(decode(frame(event, **{field: body}, stream_id=odd))) is type(whole)


def test_a_leg_keeps_what_can_be_read() -> None:
    odd = LEG | {"client_state": {}, "media_format": {"encoding": "PCMA", "sample_rate": "8000.0"}}
    assert decode(frame("start", start=odd)) == Start(
        StreamedLeg(MediaFormat("PCMA"), "v3:leg", "session-1", None), "stream-1"
    )


@pytest.mark.parametrize("name", [rb"Jo \ud83d", b"Jo \xff", rb"Jo \udc00"])
def test_a_display_name_voids_no_start(name: bytes) -> None:
    text = frame("start", start=LEG | {"from": "NAME"}).encode().replace(b"NAME", name)
    assert decode(text) == Start(STARTED_LEG, "stream-1")
    assert decode(memoryview(text)) == Start(STARTED_LEG, "stream-1")


@pytest.mark.parametrize(
    "text", [b'{"event":"\xff"}', rb'{"event":"\ud800"}', '{"event":"\ud800"}']
)
def test_a_kind_of_frame_may_be_any_text(text: str | bytes) -> None:
    assert isinstance(decode(text), UnknownFrame)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Not JSON"),
        ("not JSON", "Not JSON"),
        ('{"event":"media"', "Not JSON"),
        (b"\xff\xfe\x00\x01", "Not JSON"),
        ('{"event":"media","x":' + "[" * 100_000, "Not JSON"),
        ('{"event":"whisper","x":' + "[" * 100_000, "Not JSON"),
        ("[]", "Expected `object`"),
        ("{}", "Expected `str`, got `null` - at `event`"),
        ('{"event":7}', "Expected `str`"),
        (frame("media"), "Expected `object`, got `NoneType` - at `media`"),
        (frame("media", media={"track": "inbound"}), "at `payload` - at `media`"),
        (frame("media", media={"payload": "c291bmQ"}), "Invalid base64"),
        (frame("media", media={"payload": "*"}), "Invalid base64"),
        (frame("media", media={"payload": 7}), "Expected `bytes`"),
        (frame("start", start={"call_control_id": "v3:leg"}), "`media_format`"),
        (frame("start", start=LEG | {"media_format": 7}), "at `media_format`"),
    ],
    ids=range(16),
)
def test_a_malformed_frame_says_what_is_wrong(text: str | bytes, reason: str) -> None:
    with pytest.raises(MalformedFrame, match=reason) as refusal:
        decode(text)
    assert isinstance(refusal.value, TelnyxError)


@given(st.binary())
@example(b"\x80")
@example(b'{"event":""}')
def test_no_bytes_surprise_the_decoder(noise: bytes) -> None:
    try:
        decode(noise)
    except MalformedFrame:
        return
    assert b"event" in noise  # by chance, it is a valid frame


@given(st.binary(max_size=4000), st.integers(min_value=1, max_value=2**32))
def test_sound_arrives_as_it_was_sent(payload: bytes, chunk: int) -> None:
    sent = {"track": "inbound", "chunk": str(chunk), "payload": base64.b64encode(payload).decode()}
    assert decode(frame("media", media=sent)) == Media(Chunk(payload, "inbound", chunk))


@given(st.binary(max_size=4000))
def test_sound_leaves_as_base64(payload: bytes) -> None:
    encoded = {"payload": base64.b64encode(payload).decode()}
    assert json.loads(encode_media(payload)) == {"event": "media", "media": encoded}


def test_clear() -> None:
    assert json.loads(CLEAR) == {"event": "clear"}
