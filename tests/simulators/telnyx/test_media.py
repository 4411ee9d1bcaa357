"""The media socket as the bridge sees it: a plain WebSocket server receives one stream."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from simulators.audio.g711 import A_LAW, MU_LAW
from simulators.telnyx.behaviour import CarrierFaults
from simulators.telnyx.commands import NameValue, StreamingStartBody
from simulators.telnyx.media import MediaLog, MediaStream, StreamLeg
from simulators.telnyx.person import FRAME_SAMPLES, SILENT_FRAME
from tests.support.telnyx_counterpart import MediaServer, MediaSocket, media_server

LEG = StreamLeg(
    user_id="user",
    call_control_id="v3:call",
    call_session_id="session",
    from_="+15550100",
    to="+15550199",
    client_state=None,
)
TONE = (8000 * np.sin(np.arange(FRAME_SAMPLES) / 3)).astype(np.int16)
NO_FAULTS = CarrierFaults()


@pytest.fixture
async def media() -> AsyncIterator[MediaServer]:
    async with media_server() as server:
        yield server


class Streaming:
    """A stream that has begun, and the server's end of it."""

    def __init__(self, stream: MediaStream, socket: MediaSocket, log: MediaLog) -> None:
        self.stream = stream
        self.socket = socket
        self.log = log

    async def play(self, frames: int) -> list[int]:
        """Return the loudest sample of each frame that the caller hears."""
        return [int(np.abs(await self.stream.play()).max()) for _ in range(frames)]


@asynccontextmanager
async def streaming(
    media: MediaServer,
    *,
    settings: StreamingStartBody | None = None,
    leg_codec: str = "PCMU",
    faults: CarrierFaults = NO_FAULTS,
) -> AsyncIterator[Streaming]:
    log = MediaLog()
    settings = settings or StreamingStartBody(stream_url=media.url, stream_bidirectional_mode="rtp")
    settings.stream_url = media.url
    stream = MediaStream(settings, leg_codec, faults, log)
    await stream.open()
    async with asyncio.TaskGroup() as tasks:
        await stream.start(LEG)
        tasks.create_task(stream.listen())
        yield Streaming(stream, await media.socket(), log)
        await stream.close()


async def synchronize(socket: MediaSocket) -> None:
    """Wait until everything sent so far is processed. A mark on an empty queue returns at once."""
    await socket.send({"event": "mark", "mark": {"name": "agreed"}})
    await socket.wait_for("mark", len(socket.of("mark")) + 1)


async def test_connected_then_start_with_string_counters(media: MediaServer) -> None:
    async with streaming(media) as call:
        start = await call.socket.wait_for("start")
        await call.stream.carry(TONE)
        frame = await call.socket.wait_for("media")
    assert call.socket.frames[0] == {"event": "connected", "version": "1.0.0"}
    assert start == {
        "event": "start",
        "sequence_number": "1",
        "stream_id": call.stream.stream_id,
        "start": {
            "user_id": "user",
            "call_control_id": "v3:call",
            "call_session_id": "session",
            "from": "+15550100",
            "to": "+15550199",
            "client_state": None,
            "tags": [],
            "custom_parameters": {},
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        },
    }
    assert frame["sequence_number"] == "2"
    assert frame["stream_id"] == call.stream.stream_id
    assert (frame["media"]["track"], frame["media"]["chunk"]) == ("inbound", "1")
    assert base64.b64decode(frame["media"]["payload"]) == MU_LAW.encode(TONE)


async def test_a_token_comes_in_the_header_and_in_connected(media: MediaServer) -> None:
    settings = StreamingStartBody(
        stream_url="",
        stream_auth_token="secret",
        custom_parameters=[NameValue("customer", "7")],
    )
    async with streaming(media, settings=settings) as call:
        connected = await call.socket.wait_for("connected")
        start = await call.socket.wait_for("start")
    assert call.socket.request.headers["x-telnyx-streaming-auth-token"] == "secret"
    assert connected["connected"] == {"x-telnyx-streaming-auth-token": "secret"}
    assert start["start"]["custom_parameters"] == {"customer": "7"}


async def test_an_a_law_leg_is_streamed_in_a_law_and_spoken_to_in_mu_law(
    media: MediaServer,
) -> None:
    async with streaming(media, leg_codec="PCMA") as call:
        start = await call.socket.wait_for("start")
        await call.stream.carry(SILENT_FRAME)
        frame = await call.socket.wait_for("media")
        await call.socket.speak(MU_LAW.encode(TONE))
        await call.socket.send({"event": "mark", "mark": {"name": "queued"}})
        await call.socket.send({"event": "nonsense"})
        await call.socket.wait_for("error")
        heard = await call.stream.play()
    assert start["start"]["media_format"]["encoding"] == "PCMA"
    assert set(base64.b64decode(frame["media"]["payload"])) == {0xD5}
    assert np.array_equal(heard, MU_LAW.decode(MU_LAW.encode(TONE)))


async def test_the_leg_may_be_transcoded_between_the_two_laws_only(media: MediaServer) -> None:
    for asked, streamed in (("PCMA", "PCMA"), ("OPUS", "PCMU")):
        settings = StreamingStartBody(stream_url="", stream_codec=asked)  # type: ignore[arg-type]
        async with streaming(media, settings=settings) as call:
            start = await call.socket.wait_for("start")
        assert start["start"]["media_format"]["encoding"] == streamed


async def test_clear_silences_the_caller_and_returns_every_mark(media: MediaServer) -> None:
    async with streaming(media) as call:
        await call.socket.speak(MU_LAW.encode(TONE) * 50)
        for name in ("first", "second"):
            await call.socket.send({"event": "mark", "mark": {"name": name}})
        await call.socket.send({"event": "clear"})
        await call.socket.wait_for("mark", 2)
        loudest = await call.play(2)
    assert call.log.marks == ["first", "second"]
    assert call.log.clears == 1
    assert loudest == [0, 0]


async def test_a_mark_returns_only_after_its_media_was_heard(media: MediaServer) -> None:
    async with streaming(media) as call:
        await call.socket.speak(MU_LAW.encode(TONE) * 2)
        await call.socket.send({"event": "mark", "mark": {"name": "end"}})
        await call.socket.send({"event": "nonsense"})
        await call.socket.wait_for("error")
        await call.play(2)
        assert call.log.marks == []
        await call.play(1)
        mark = await call.socket.wait_for("mark")
    assert mark["mark"] == {"name": "end"}
    assert mark["stream_id"] == call.stream.stream_id


async def test_rtp_bytes_in_mp3_mode_are_silence_to_the_caller(media: MediaServer) -> None:
    async with streaming(media, settings=StreamingStartBody(stream_url="")) as call:
        await call.socket.speak(MU_LAW.encode(TONE) * 3)
        await call.socket.send({"event": "nonsense"})
        await call.socket.wait_for("error")
        assert await call.play(3) == [0, 0, 0]
    assert call.log.frames_in == 1
    assert call.log.flagged[0].startswith("mp3 mode")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 100003),
        (b"\x00\xff", 100003),
        ("[]", 100003),
        ('{"event":"hangup"}', 100003),
        ('{"event":"media"}', 100003),
        ('{"event":"mark","mark":{}}', 100003),
        ('{"event":"media","media":{"payload":"not base64!"}}', 100004),
    ],
)
async def test_what_telnyx_cannot_read_is_answered_with_an_error(
    media: MediaServer, message: str | bytes, code: int
) -> None:
    async with streaming(media) as call:
        await call.socket.connection.send(message)
        error = await call.socket.wait_for("error")
        await synchronize(call.socket)
    assert error["payload"]["code"] == code
    assert "sequence_number" not in error
    assert len(call.log.flagged) == 1


async def test_chunks_outside_20_ms_to_30_s_are_flagged_and_played_all_the_same(
    media: MediaServer,
) -> None:
    async with streaming(media) as call:
        await call.socket.speak(MU_LAW.encode(TONE)[:152])
        await call.socket.speak(MU_LAW.encode(TONE)[:8] * 30_001)
        await call.socket.send({"event": "nonsense"})
        await call.socket.wait_for("error")
        assert (await call.play(1))[0] > 7000
    assert call.log.flagged[:2] == [
        "chunk of 19 ms, outside 20 ms to 30 s",
        "chunk of 30001 ms, outside 20 ms to 30 s",
    ]


async def test_stop_is_followed_by_a_close_without_a_code(media: MediaServer) -> None:
    async with streaming(media) as call:
        await call.stream.stop(LEG)
        await call.socket.wait_closed()
    assert call.socket.frames[-1]["event"] == "stop"
    assert call.socket.frames[-1]["stop"] == {"user_id": "user", "call_control_id": "v3:call"}
    assert call.socket.connection.close_code == 1005


async def test_a_socket_that_never_started_closes_without_stop(media: MediaServer) -> None:
    stream = MediaStream(
        StreamingStartBody(stream_url=media.url, stream_auth_token=None),
        "PCMU",
        NO_FAULTS,
        MediaLog(),
    )
    await stream.open()
    await stream.stop(LEG)
    socket = await media.socket()
    await socket.wait_closed()
    assert [frame["event"] for frame in socket.frames] == ["connected"]


async def test_both_tracks_carry_our_own_audio_too(media: MediaServer) -> None:
    settings = StreamingStartBody(
        stream_url="", stream_track="both_tracks", stream_bidirectional_mode="rtp"
    )
    async with streaming(media, settings=settings) as call:
        await call.stream.play()
        await call.stream.carry(TONE)
        await call.socket.wait_for("media", 2)
    assert [frame["media"]["track"] for frame in call.socket.of("media")] == ["outbound", "inbound"]


async def test_dtmf_is_reported_on_the_socket(media: MediaServer) -> None:
    async with streaming(media) as call:
        await call.stream.press("5")
        assert (await call.socket.wait_for("dtmf"))["dtmf"] == {"digit": "5"}


async def test_chunks_may_arrive_in_another_order(media: MediaServer) -> None:
    async with streaming(media, faults=CarrierFaults(swap_chunks=True)) as call:
        for _ in range(4):
            await call.stream.carry(TONE)
        await call.socket.wait_for("media", 4)
    chunks = [frame["media"]["chunk"] for frame in call.socket.of("media")]
    assert chunks == ["2", "1", "4", "3"]


async def test_lost_chunks_leave_gaps_in_the_numbers(media: MediaServer) -> None:
    async with streaming(media, faults=CarrierFaults(lost_chunks=0.3)) as call:
        for _ in range(100):
            await call.stream.carry(TONE)
        await synchronize(call.socket)
    chunks = [int(frame["media"]["chunk"]) for frame in call.socket.of("media")]
    assert len(chunks) == call.log.frames_out
    assert 50 < len(chunks) < 90
    assert chunks == sorted(chunks)
    assert chunks[-1] > len(chunks)


async def test_a_muted_caller_sends_silence_for_ever(media: MediaServer) -> None:
    async with streaming(media, faults=CarrierFaults(muted=True), leg_codec="PCMA") as call:
        await call.stream.carry(TONE)
        frame = await call.socket.wait_for("media")
    assert not (np.abs(A_LAW.decode(base64.b64decode(frame["media"]["payload"]))) > 8).any()


async def test_media_may_come_without_start(media: MediaServer) -> None:
    async with streaming(media, faults=CarrierFaults(no_start=True)) as call:
        await call.stream.carry(TONE)
        await call.socket.wait_for("media")
    assert [frame["event"] for frame in call.socket.frames] == ["connected", "media"]
