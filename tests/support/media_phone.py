"""Telnyx's end of a media stream, as tests drive it."""

import asyncio
import base64
import json
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from phonebridge.call.call import Call
from simulators.audio.g711 import MU_LAW
from simulators.audio.speech import CLIPS
from tests.support.waiting import TIMEOUT_SECONDS

FRAME_BYTES = 160
SILENCE = b"\xff" * 8000
"""One second of silence. The model's detector needs half a second to see the end of a turn."""

Frame = dict[str, Any]


class Phone:
    """It sends frames as fast as the socket accepts them."""

    def __init__(self, socket: ClientConnection, call: Call) -> None:
        self.call = call
        self._socket = socket
        self._chunk = 0
        self._heard_since_clear: int | None = None
        """Frames of sound since the last clear, or None before the first."""

    async def send(self, frame: Frame | str | bytes) -> None:
        await self._socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def start(self, encoding: str = "PCMU", **changes: Any) -> None:
        await self.send({"event": "start", "start": start_of(self.call, encoding) | changes})

    async def say(self, clip: str) -> None:
        """Send a clip, and the silence by which the model detects its end."""
        self._heard_since_clear = None
        for frame in self.frames(MU_LAW.encode(CLIPS[clip].samples) + SILENCE):
            await self.send(frame)

    def frames(self, sound: bytes) -> list[Frame]:
        return [
            self._frame(sound[at : at + FRAME_BYTES]) for at in range(0, len(sound), FRAME_BYTES)
        ]

    def _frame(self, payload: bytes) -> Frame:
        self._chunk += 1
        encoded = base64.b64encode(payload).decode()
        return {"event": "media", "media": {"chunk": str(self._chunk), "payload": encoded}}

    async def all_read(self) -> None:
        """Wait until the bridge has read everything that was sent so far."""
        await (await self._socket.ping())

    async def hear(self, event: str = "media") -> Frame:
        """Return the next frame of that kind from the bridge."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                frame: Frame = json.loads(await self._socket.recv())
                self._count(frame["event"])
                if frame["event"] == event:
                    return frame

    async def hear_answer(self) -> None:
        """Wait until the agent speaks again after an interruption by the caller."""
        while not self._heard_since_clear:
            await self.hear()

    def _count(self, event: str) -> None:
        if event == "clear":
            self._heard_since_clear = 0
        elif event == "media" and self._heard_since_clear is not None:
            self._heard_since_clear += 1

    async def stop(self) -> None:
        await self.send({"event": "stop", "stop": {}})

    async def close(self) -> None:
        await self._socket.close()

    async def hang_up(self) -> None:
        with suppress(ConnectionClosed):
            await self.stop()
        await self.close()

    async def break_protocol(self) -> None:
        """Send a frame that WebSocket does not allow."""
        self._socket.transport.write(b"\x05\x00")

    def read_no_more(self) -> None:
        """Answer nothing any more, not even pings, as behind a connection that is half-open."""
        self._socket.transport.pause_reading()

    async def vanish(self) -> None:
        """Close the connection without a close frame."""
        self._socket.transport.abort()
        await self._socket.wait_closed()

    async def closed(self) -> int | None:
        """Return the code with which the bridge closed the socket."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                while True:
                    await self._socket.recv()
            except ConnectionClosed:
                return self._socket.close_code


def start_of(call: Call, encoding: str = "PCMU", rate: int = 8000) -> Frame:
    assert call.leg is not None
    return {
        "call_control_id": call.leg.call_control_id,
        "client_state": base64.b64encode(call.call_id.encode()).decode(),
        "media_format": {"encoding": encoding, "sample_rate": rate, "channels": 1},
    }
