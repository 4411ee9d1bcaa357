"""Telnyx's end of one media stream. It opens the socket, sends the caller's audio, and notes when
the caller received audio."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

import msgspec

from benchmarks.drills.lockstep_loop import LockstepLoop
from benchmarks.media.rfc6455 import CLOSE, PING, PONG, frame, upgrade_request
from benchmarks.media.sound import caller_frame, decoded_size
from benchmarks.media.virtual_loop import Connection

CALLER_FRAME_SECONDS = 0.5
"""How often a frame of 20 ms is sent. What happens to frames is measured elsewhere. Here they show
that the line is alive."""

_MEDIA = (
    b'{"event":"media","sequence_number":"%d","media":{"track":"inbound","chunk":"%d",'
    b'"timestamp":"%d","payload":"%b"},"stream_id":"stream"}'
)
_PAYLOAD = re.compile(rb'"payload": ?"([^"]*)"')
_SOUND = base64.b64encode(caller_frame(onset_ms=0))
_FIRST_BYTE = 0x80


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a command said about the stream."""

    url: str
    token: str

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 443


@dataclass(slots=True)
class Heard:
    """The audio that the caller received over all streams of a call."""

    times: list[tuple[float, float]] = field(default_factory=list)
    """When a piece of sound began and ended."""
    plays_until: float = 0.0

    def play(self, now: float, seconds: float) -> None:
        begins = max(self.plays_until, now)
        self.plays_until = begins + seconds
        self.times.append((begins, self.plays_until))

    def clear(self, now: float) -> None:
        self.plays_until = now


class MediaLine:
    """`on_end` is called once, with whether the socket was ever open."""

    def __init__(
        self,
        loop: LockstepLoop,
        request: StreamRequest,
        heard: Heard,
        on_end: Callable[["MediaLine"], None],
    ) -> None:
        self.request = request
        self.was_open = False
        self.is_over = False
        self.was_stopped = False
        """Whether the carrier ended it."""
        self.refusal = ""
        self._loop = loop
        self._heard = heard
        self._on_end = on_end
        self._chunks = count(1)
        self._start: bytes | None = None
        self._connection: Connection | None = None

    def open(self) -> None:
        """Open the socket, on the event loop."""
        try:
            self._connection = self._loop.dial_port(self.request.port, self._hear, self._end)
        except ConnectionRefusedError as error:
            self.refusal = str(error)
            self._end()
            return
        headers = {"x-telnyx-streaming-auth-token": self.request.token}
        self._connection.deliver(upgrade_request(self.request.path, headers))

    def start(self, leg_id: str, client_state: str) -> None:
        """The callee is there: `start` is sent, then the frames."""
        media_format = {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
        leg = {"call_control_id": leg_id, "client_state": client_state}
        start = {"event": "start", "sequence_number": "1", "stream_id": "stream"}
        self._start = msgspec.json.encode(start | {"start": leg | {"media_format": media_format}})
        if self.was_open:
            self._begin()

    def stop(self) -> None:
        """The carrier ends the stream."""
        self.was_stopped = True
        if self.was_open and not self.is_over:
            self._send(b'{"event":"stop","stop":{}}')
        self.drop()

    def drop(self) -> None:
        """The connection breaks."""
        if self._connection and not self.is_over:
            self._connection.close()

    def _begin(self) -> None:
        assert self._start is not None, "`start` comes first"
        self._send(self._start)
        self._speak()

    def _speak(self) -> None:
        if not self.is_over:
            chunk = next(self._chunks)
            self._send(_MEDIA % (chunk + 1, chunk, chunk * 20, _SOUND))
            self._loop.call_later(CALLER_FRAME_SECONDS, self._speak)

    def _send(self, message: bytes) -> None:
        assert self._connection is not None, "only an open line sends"
        self._connection.deliver(frame(message, masked=True))

    def _hear(self, connection: Connection, data: bytes) -> None:
        """One frame, or the answer to the upgrade."""
        if not self.was_open:
            self._loop.call_soon(self._on_upgrade, data)
        elif data[0] == _FIRST_BYTE | PING:
            self._answer(frame(data[2:], True, PONG))
        elif data[0] == _FIRST_BYTE | CLOSE:
            self._answer(frame(b"", True, CLOSE))
        elif found := _PAYLOAD.search(data):
            self._heard.play(self._loop.time(), decoded_size(found[1]) / 8000)
        elif b'"mark"' in data:
            self._loop.call_at(self._heard.plays_until, self._answer, frame(data[2:], masked=True))
        elif b'"clear"' in data:
            self._heard.clear(self._loop.time())

    def _answer(self, data: bytes) -> None:
        self._loop.call_soon(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self._connection and not self.is_over:
            self._connection.deliver(data)

    def _on_upgrade(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 101"):
            self.refusal = data.partition(b"\r\n")[0].decode()
            self.drop()
            return
        self.was_open = True
        self._send(b'{"event":"connected","version":"1.0.0"}')
        if self._start is not None:
            self._begin()

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._loop.call_soon(self._on_end, self)
