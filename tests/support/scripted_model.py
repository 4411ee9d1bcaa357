"""A Realtime server that accepts all settings and then sends what the test wants."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from tests.support.waiting import TIMEOUT_SECONDS, until

Frame = dict[str, Any]
SOUND = base64.b64encode(b"\x22" * 800).decode()
"""100 ms of G.711."""


@dataclass
class ScriptedModel:
    url: str = ""
    received: list[Frame] = field(default_factory=list)
    is_closed: asyncio.Event = field(default_factory=asyncio.Event)
    _socket: ServerConnection | None = None

    async def send(self, kind: str, **fields: Any) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps({"type": kind} | fields))

    async def asked(self, kind: str) -> Frame:
        """Return the first request of that type."""
        frame = await until(lambda: next((f for f in self.received if f["type"] == kind), None))
        assert frame is not None
        return frame

    async def closed(self) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.is_closed.wait()

    async def converse(self, socket: ServerConnection) -> None:
        self._socket = socket
        await self.send("session.created", session={})
        async for message in socket:
            frame = json.loads(message)
            self.received.append(frame)
            if frame["type"] == "session.update":
                await self.send("session.updated", session=frame["session"])
        self.is_closed.set()


@asynccontextmanager
async def scripted_model() -> AsyncIterator[ScriptedModel]:
    model = ScriptedModel()
    async with serve(model.converse, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        model.url = f"ws://127.0.0.1:{port}/v1/realtime"
        yield model
