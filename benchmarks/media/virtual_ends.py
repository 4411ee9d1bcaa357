"""The far ends of one call in virtual time: the caller at Telnyx, and a session of the model.

They do little themselves. It is part of the count of instructions.py, which subtracts it.
"""

import asyncio
import base64
import re
from itertools import count

import msgspec
from msgspec import Struct, structs

from benchmarks.media.model_script import lasts_ms, script
from benchmarks.media.rfc6455 import PING, PONG, TEXT, acceptance, frame, unmasked, upgrade_request
from benchmarks.media.sound import caller_frame, decoded_size
from benchmarks.media.virtual_loop import Connection, VirtualLoop
from phonebridge.settings import ModelAudio
from simulators.openai import wire
from simulators.openai.settings import DEFAULTS, SessionSettings, merge

CALL_ID = "call-1"
FRAME_MS = 20
SETUP_SECONDS = 1.0

_MEDIA = (
    b'{"event":"media","sequence_number":"%d","media":{"track":"inbound","chunk":"%d",'
    b'"timestamp":"%d","payload":"%b"},"stream_id":"stream"}'
)
_PAYLOAD = re.compile(rb'"payload": ?"([^"]*)"')
_PING, _TEXT = 0x80 | PING, 0x80 | TEXT


class Caller:
    """Telnyx and the caller behind it. A mark returns when the audio before it was played."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._chunks = count(1)
        self._payload = base64.b64encode(caller_frame(onset_ms=0))
        self._plays_until = 0.0
        self.played_ms = 0.0
        self.clears = 0
        self.line: Connection | None = None

    async def dial(self) -> None:
        self.line = self._loop.dial(self.hear)
        self.line.deliver(upgrade_request(f"/media-bridge/{CALL_ID}/1", {}))
        self._tell({"event": "connected", "version": "1.0.0"})
        leg = {
            "call_control_id": f"v3:{CALL_ID}",
            "client_state": base64.b64encode(CALL_ID.encode()).decode(),
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        self._tell({"event": "start", "sequence_number": "1", "start": leg, "stream_id": "stream"})
        await asyncio.sleep(SETUP_SECONDS)

    async def speak(self, frames: int) -> None:
        assert self.line is not None
        for media in [self._media(next(self._chunks)) for _ in range(frames)]:
            self.line.deliver(media)
            await asyncio.sleep(FRAME_MS / 1000)

    def hear(self, line: Connection, data: bytes) -> None:
        if found := _PAYLOAD.search(data):
            played_ms = decoded_size(found[1]) / 8
            self.played_ms += played_ms
            self._plays_until = max(self._plays_until, self._loop.time()) + played_ms / 1000
        elif b'"mark"' in data:
            mark = frame(data[2:], masked=True)
            self._loop.call_at(self._plays_until, line.deliver, mark)
        elif b'"clear"' in data:
            self._plays_until = self._loop.time()
            self.clears += 1
        elif data[0] == _PING:
            self._loop.call_soon(line.deliver, frame(data[2:], True, PONG))

    def _media(self, chunk: int) -> bytes:
        media = _MEDIA % (chunk + 1, chunk, chunk * FRAME_MS, self._payload)
        return frame(media, masked=True)

    def _tell(self, message: dict[str, object]) -> None:
        assert self.line is not None
        self.line.deliver(frame(msgspec.json.encode(message), masked=True))


class Model:
    """Plays the script of the load generator's model."""

    def __init__(self, audio: ModelAudio) -> None:
        self._script = script(audio)
        self._turns = count()
        self._settings = structs.replace(DEFAULTS, model="gpt-realtime-2.1-mini")
        self._ready = False
        self.heard = 0
        self.line: Connection | None = None

    async def converse(self, first: int, turns: int) -> None:
        assert self.line is not None
        for turn in range(first, first + turns):
            passed_ms = 0.0
            for event in self._script:
                await asyncio.sleep((event.at_ms - passed_ms) / 1000)
                passed_ms = event.at_ms
                self.line.deliver(frame(event.named_payload(b"%d" % turn), masked=False))
            await asyncio.sleep((lasts_ms(turn) - passed_ms) / 1000)

    def hear(self, line: Connection, data: bytes) -> None:
        if data[0] == _PING:
            asyncio.get_running_loop().call_soon(line.deliver, frame(unmasked(data), False, PONG))
        elif self._ready:
            self.heard += 1
        elif data[0] != _TEXT:
            self.line = line
            self._tell(acceptance(data))
            self._tell(_event(wire.SessionCreatedEvent(session=self._state())))
        else:
            self._configure(unmasked(data))

    def _configure(self, update: bytes) -> None:
        update_settings = msgspec.json.decode(update, type=_SessionUpdate).session
        self._settings = merge(self._settings, update_settings, DEFAULTS)
        self._tell(_event(wire.SessionUpdatedEvent(session=self._state())))
        self._ready = True

    def _state(self) -> msgspec.Raw:
        return wire.session_state("sess_1", 0, self._settings)

    def _tell(self, data: bytes) -> None:
        assert self.line is not None
        asyncio.get_running_loop().call_soon(self.line.deliver, data)


class _SessionUpdate(Struct):
    session: SessionSettings


def _event(event: wire.ServerEvent) -> bytes:
    return frame(msgspec.json.encode(event), masked=False)
