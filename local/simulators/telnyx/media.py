"""Media streaming as Telnyx does it: frames, playout clock and socket. It connects to the WebSocket
server that stream_url names ("Media Streaming over WebSockets")."""

import asyncio
import base64
import binascii
import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from simulators.audio import l16
from simulators.audio.g711 import A_LAW, MU_LAW
from simulators.audio.speech import SAMPLE_RATE_HZ, Samples
from simulators.telnyx.behaviour import CarrierFaults
from simulators.telnyx.commands import StreamSettings
from simulators.telnyx.person import FRAME_MS, SILENT_FRAME
from simulators.telnyx.playout import PlayoutQueue
from simulators.telnyx.webhooks import timestamp_now

Frame = dict[str, Any]


class Coder(Protocol):
    """Converts between a stream's codec and the 8 kHz of the person."""

    def decode(self, payload: bytes, /) -> Samples: ...
    def encode(self, samples: Samples, /) -> bytes: ...


CODERS: dict[str, Callable[[str], Coder]] = {
    "PCMU": lambda order: MU_LAW,
    "PCMA": lambda order: A_LAW,
    "L16": l16.L16,
}
"""Each takes the byte order of L16."""
LAWS = ("PCMU", "PCMA")
L16 = "L16"
BYTES_PER_MS = {"PCMU": 8, "PCMA": 8, L16: l16.RATE_HZ * 2 // 1000}
MIN_CHUNK_MS = 20
MAX_CHUNK_MS = 30_000
OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 2.0
TOKEN_HEADER = "x-telnyx-streaming-auth-token"
MALFORMED_FRAME = 100003
INVALID_MEDIA = 100004


class MediaIn(msgspec.Struct):
    payload: str


class MarkIn(msgspec.Struct):
    name: str


class FrameIn(msgspec.Struct):
    event: str
    media: MediaIn | None = None
    mark: MarkIn | None = None


class StreamMediaFormat(msgspec.Struct):
    encoding: str
    sample_rate: int = SAMPLE_RATE_HZ
    channels: int = 1


class StreamLeg(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """The leg of a stream: the body of `start`, without the fields of the stream itself."""

    user_id: str
    call_control_id: str
    call_session_id: str
    from_: str
    to: str
    client_state: str | None
    tags: list[str] = []


class StreamStart(StreamLeg, kw_only=True):
    custom_parameters: dict[str, str]
    media_format: StreamMediaFormat


@dataclass(slots=True)
class MediaLog:
    """What passed over a call's sockets, and where the other side broke the protocol."""

    frames_in: int = 0
    """Media messages from the agent's side."""
    frames_out: int = 0
    started_s: float | None = None
    """When the last `start` was sent, by `time.monotonic`."""
    first_media_s: float | None = None
    """When the first media message after `start` arrived."""
    marks: list[str] = field(default_factory=list)
    """Names in the order in which the marks were returned."""
    clears: int = 0
    cleared_after_ms: list[int] = field(default_factory=list)
    """How long the interrupted audio had been audible at each clear."""
    flagged: list[str] = field(default_factory=list)
    close_codes: list[int | None] = field(default_factory=list)


class MediaStream:
    """One socket of one call."""

    def __init__(
        self, settings: StreamSettings, leg_codec: str, faults: CarrierFaults, log: MediaLog
    ) -> None:
        self.stream_id = str(uuid.uuid4()).upper()
        self.settings = settings
        # Only PCMU and PCMA are transcoded into each other. In all other cases, the leg's codec is
        # streamed.
        transcoded = settings.stream_codec in LAWS and leg_codec in LAWS
        self._encoding = settings.stream_codec if transcoded else leg_codec
        self._undocumented = faults.undocumented
        order = faults.undocumented.l16_order
        self._ear = CODERS.get(settings.stream_bidirectional_codec, CODERS["PCMU"])(order)
        self._mouths = {track: CODERS[self._encoding](order) for track in ("inbound", "outbound")}
        self._log = log
        self._faults = faults
        self._playout = PlayoutQueue()
        self._sequence_number = 0
        self.carried_ms = 0
        """How much of the caller's sound it has carried."""
        self._chunks = {"inbound": 0, "outbound": 0}
        self._overtaken: Frame | None = None
        self._luck = random.Random(1)
        self._socket: ClientConnection | None = None
        self._started = False
        self._is_half_open = False
        self.is_closed_here = False
        """Whether Telnyx has closed it, and not the other side."""

    @property
    def is_sounding(self) -> bool:
        """The caller hears something, or is about to."""
        return not self._playout.is_empty

    async def open(self) -> None:
        """Connect. Raises OSError, TimeoutError or WebSocketException if the other side refuses."""
        token = self.settings.stream_auth_token
        headers = {TOKEN_HEADER: token} if token else {}
        self._socket = await connect(
            str(self.settings.stream_url),
            additional_headers=headers,
            compression=None,
            proxy=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
        )
        await self._send(
            {"event": "connected", "version": "1.0.0"} | ({"connected": headers} if token else {})
        )

    async def start(self, leg: StreamLeg) -> None:
        if not self._faults.no_start:
            parameters = {each.name: each.value for each in self.settings.custom_parameters}
            start = StreamStart(
                **msgspec.structs.asdict(leg),
                custom_parameters=parameters,
                media_format=StreamMediaFormat(
                    self._encoding, l16.RATE_HZ if self._encoding == L16 else SAMPLE_RATE_HZ
                ),
            )
            await self._send_numbered({"event": "start", "start": start})
        self._started = True
        self._log.started_s, self._log.first_media_s = time.monotonic(), None

    async def listen(self) -> None:
        """Receive until either side closes the socket."""
        assert self._socket is not None
        with suppress(ConnectionClosed):
            async for message in self._socket:
                await self._receive(message)
        self._log.close_codes.append(self._socket.close_code)

    async def play(self) -> Samples:
        """Return the next 20 ms for the caller."""
        samples, passed = self._playout.play()
        await self._give_back(passed)
        if self.settings.stream_track != "inbound_track":
            await self._carry("outbound", samples)
        return samples

    async def carry(self, said: Samples) -> None:
        """Send what the caller said in the same 20 ms."""
        self.carried_ms += FRAME_MS
        if not self._undocumented.sends_silence and not said.any():
            return
        if self.settings.stream_track != "outbound_track":
            await self._carry("inbound", SILENT_FRAME if self._faults.muted else said)

    async def press(self, digit: str) -> None:
        await self._send_numbered(
            {"event": "dtmf", "occurred_at": timestamp_now(), "dtmf": {"digit": digit}}
        )

    async def stop(self, leg: StreamLeg) -> None:
        """Send `stop` and close. A socket that never started is just closed."""
        if self._started:
            stop = {"user_id": leg.user_id, "call_control_id": leg.call_control_id}
            await self._send_numbered({"event": "stop", "stop": stop})
        await self.close()

    def disturb(self, how: Literal["reset", "half_open"]) -> None:
        """Break the connection without a close frame, or send and read nothing more, as if the
        network had lost it."""
        assert self._socket is not None
        if how == "reset":
            self._socket.transport.abort()
            return
        self._is_half_open = True
        self._playout.clear()
        self._socket.transport.pause_reading()

    async def wait_closed(self) -> None:
        assert self._socket is not None
        await self._socket.wait_closed()

    async def close(self) -> None:
        if self._is_half_open:
            self.disturb("reset")
        elif self._socket is not None:
            self.is_closed_here = True
            # Telnyx's close frame has no code, so the other side sees 1005.
            await self._socket.close(code=None)  # type: ignore[arg-type]

    async def _carry(self, track: str, samples: Samples) -> None:
        self._chunks[track] += 1
        chunk = self._chunks[track]
        payload = base64.b64encode(self._mouths[track].encode(samples)).decode()
        media = {
            "track": track,
            "chunk": str(chunk),
            "timestamp": str((chunk - 1) * self._undocumented.timestamp_step),
            "payload": payload,
        }
        frame = self._with_sequence_number({"event": "media", "media": media})
        if self._luck.random() >= self._faults.lost_chunks:
            await self._send_in_some_order(frame)

    async def _send_in_some_order(self, frame: Frame) -> None:
        if self._faults.swap_chunks and self._overtaken is None:
            self._overtaken = frame
            return
        overtaken, self._overtaken = self._overtaken, None
        for each in (frame, overtaken):
            if each is not None:
                self._log.frames_out += 1
                await self._send(each)

    async def _receive(self, message: str | bytes) -> None:
        try:
            frame = msgspec.json.decode(message, type=FrameIn)
        except msgspec.DecodeError as error:
            await self._complain(MALFORMED_FRAME, "malformed_frame", str(error))
            return
        match frame:
            case FrameIn(event="media", media=MediaIn(payload)):
                await self._queue_media(payload)
            case FrameIn(event="mark", mark=MarkIn(name)):
                await self._give_back(self._playout.mark(name))
            case FrameIn(event="clear"):
                self._log.clears += 1
                self._log.cleared_after_ms.append(self._playout.sounded_ms)
                await self._give_back(self._playout.clear())
            case _:
                await self._complain(MALFORMED_FRAME, "malformed_frame", f"event {frame.event}")

    async def _queue_media(self, payload: str) -> None:
        self._log.frames_in += 1
        if self._log.first_media_s is None:
            self._log.first_media_s = time.monotonic()
        try:
            audio = base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError) as error:
            await self._complain(INVALID_MEDIA, "invalid_media", str(error))
            return
        is_short = len(audio) < BYTES_PER_MS["PCMU"] * MIN_CHUNK_MS
        if is_short and not self._undocumented.accepts_short_chunks:
            await self._complain(INVALID_MEDIA, "invalid_media", "chunk below 20 ms")
            return
        self._playout.add(self._decode(audio))

    def _decode(self, audio: bytes) -> Samples:
        mode = self.settings.stream_bidirectional_mode
        codec = self.settings.stream_bidirectional_codec
        rate_hz = self.settings.stream_bidirectional_sampling_rate
        fits = rate_hz == (l16.RATE_HZ if codec == L16 else SAMPLE_RATE_HZ)
        if mode != "rtp" or codec not in CODERS or not fits:
            how = f"{codec} at {rate_hz} Hz is not simulated"
            what = how if mode == "rtp" else "media is not an mp3 file"
            self._flag(f"{mode} mode: {what}, the caller hears silence")
            return np.zeros(len(audio), np.int16)
        duration_ms = len(audio) / BYTES_PER_MS[codec]
        if not MIN_CHUNK_MS <= duration_ms <= MAX_CHUNK_MS:
            self._flag(f"chunk of {duration_ms:g} ms, outside 20 ms to 30 s")
        if codec == L16 and l16.is_turned_round(audio, self._undocumented.l16_order):
            self._flag("L16 in the wrong byte order, the caller hears noise")
        return self._ear.decode(audio)

    async def _give_back(self, marks: list[str]) -> None:
        for name in marks:
            self._log.marks.append(name)
            await self._send_numbered({"event": "mark", "mark": {"name": name}})

    async def _complain(self, code: int, title: str, detail: str) -> None:
        self._flag(f"{code} {title}: {detail}")
        error = {"code": code, "title": title, "detail": detail}
        await self._send({"event": "error", "stream_id": self.stream_id, "payload": error})

    def _flag(self, breach: str) -> None:
        if breach not in self._log.flagged:
            self._log.flagged.append(breach)

    async def _send_numbered(self, frame: Frame) -> None:
        await self._send(self._with_sequence_number(frame))

    def _with_sequence_number(self, frame: Frame) -> Frame:
        self._sequence_number += 1
        return frame | {"sequence_number": str(self._sequence_number), "stream_id": self.stream_id}

    async def _send(self, frame: Frame) -> None:
        assert self._socket is not None
        if self._is_half_open:
            return
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send(msgspec.json.encode(frame).decode())
        except ConnectionClosed:
            pass  # listen() sees it too, and ends the stream
        except TimeoutError:
            self._flag(f"the socket was not read for {SEND_TIMEOUT_S:g} s")
            self._socket.transport.abort()
