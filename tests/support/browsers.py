"""A browser's end of a media stream, spoken by the websockets library."""

import asyncio
import base64
import json
from contextlib import suppress
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from phonebridge import stream_token
from phonebridge.call.call import Call
from phonebridge.call.config import BrowserEvent, CallConfig
from phonebridge.call.events import BrowserCallRequested, StreamRequested
from simulators.audio.g711 import MU_LAW
from simulators.audio.speech import CLIPS, resample
from tests.support.calls import after, browser_call
from tests.support.media_phone import Frame
from tests.support.media_plane import SECRET, MediaPlane
from tests.support.waiting import TIMEOUT_SECONDS

CONFIG = CallConfig(events=tuple(BrowserEvent))
FRAME_MS = 20
SILENT_FRAMES = 50
"""One second, in which the model's detector sees the end of a turn."""
ORIGIN = "https://shop.example"


class Browser:
    """Each `encoding` is the codec of both directions."""

    def __init__(self, socket: ClientConnection, encoding: str = "PCMU") -> None:
        self.encoding = encoding
        self.frames: list[Frame] = []
        """Everything that came."""
        self._socket = socket
        self._chunk = 0

    async def send(self, frame: Frame | str) -> None:
        await self._socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def connected(self, token: str) -> None:
        await self.send({"event": "connected", "version": "1.0.0", "token": token})

    async def start(self, encoding: str | None = None) -> None:
        encoding = encoding or self.encoding
        rate = 16000 if encoding == "L16" else 8000
        given = {"media_format": {"encoding": encoding, "sample_rate": rate, "channels": 1}}
        await self.send({"event": "start", "stream_id": "stream-1", "start": given})

    async def say(self, clip: str, frame_seconds: float = 0.0) -> None:
        """Send a clip, and the silence by which the model detects its end. A microphone has a frame
        every 20 ms; a container passes on little more than that to the model."""
        sound, frame_bytes = self._encoded(clip)
        for at in range(0, len(sound), frame_bytes):
            self._chunk += 1
            payload = base64.b64encode(sound[at : at + frame_bytes]).decode()
            chunk, timestamp = str(self._chunk), str(self._chunk * FRAME_MS)
            media = {"payload": payload, "chunk": chunk, "timestamp": timestamp}
            await self.send({"event": "media", "media": media})
            await asyncio.sleep(frame_seconds)

    def _encoded(self, clip: str) -> tuple[bytes, int]:
        samples = CLIPS[clip].samples
        if self.encoding == "PCMU":
            return MU_LAW.encode(samples) + b"\xff" * 160 * SILENT_FRAMES, 160
        wide = resample(samples, 8000, 16000).round().astype("<i2")
        return wide.tobytes() + bytes(640 * SILENT_FRAMES), 640

    async def hear(self, event: str = "media", **wanted: Any) -> Frame:
        """Return the body of the next frame of that kind that has these values."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                frame: Frame = json.loads(await self._socket.recv())
                self.frames.append(frame)
                if frame["event"] == "mark":
                    await self.send(frame)  # as soon as it was sent: this browser has no speaker
                body: Frame = frame.get(event, {})
                if frame["event"] == event and wanted.items() <= body.items():
                    return body

    def bodies(self, event: str) -> list[Frame]:
        return [frame[event] for frame in self.frames if frame["event"] == event]

    def heard_samples(self) -> "np.ndarray[Any, Any]":
        """What the speaker plays of all that came, as 16-bit samples."""
        sound = b"".join(base64.b64decode(each["payload"]) for each in self.bodies("media"))
        return np.frombuffer(sound, "<i2") if self.encoding == "L16" else MU_LAW.decode(sound)

    async def stop(self) -> None:
        await self.send({"event": "stop"})

    async def close(self, code: int = 1000) -> None:
        await self._socket.close(code)

    async def vanish(self) -> None:
        """Close the connection without a close frame."""
        self._socket.transport.abort()
        await self._socket.wait_closed()

    async def closed(self) -> int | None:
        """Return the code with which the container closed the socket."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with suppress(ConnectionClosed):
                while True:
                    self.frames.append(json.loads(await self._socket.recv()))
        return self._socket.close_code


def opened(plane: MediaPlane, call_id: str = "call-1", config: CallConfig = CONFIG) -> Call:
    """A new browser call, as the API has stored it."""
    call = after(browser_call(call_id, created_at_ms=plane.now_ms()), BrowserCallRequested())
    assert plane.store.create(call, config)
    return call


def with_next_stream(plane: MediaPlane, call: Call) -> Call:
    """The call after its browser has asked the API for another stream."""
    return plane.services.switchboard.apply(call.call_id, StreamRequested())


def token_of(plane: MediaPlane, call: Call) -> str:
    return stream_token.issue(SECRET, call.call_id, call.stream_number, plane.now_ms())


async def dial_in(plane: MediaPlane, call: Call, encoding: str = "PCMU") -> Browser:
    """A socket that has not said anything yet."""
    url = f"ws://{plane.address}/media-bridge/{call.call_id}/{call.stream_number}"
    return await open_socket(url, encoding)


async def open_socket(url: str, encoding: str = "PCMU") -> Browser:
    """Connect from a page of another origin."""
    socket = await connect(
        url,
        origin=ORIGIN,  # type: ignore[arg-type]
        compression=None,
        proxy=None,
        open_timeout=TIMEOUT_SECONDS,
        max_queue=None,
    )
    return Browser(socket, encoding)


async def streaming(plane: MediaPlane, call: Call, encoding: str = "PCMU") -> Browser:
    browser = await dial_in(plane, call, encoding)
    await browser.connected(token_of(plane, call))
    await browser.start()
    return browser
