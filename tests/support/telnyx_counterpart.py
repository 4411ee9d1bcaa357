"""What the tests connect to a Telnyx simulator: a webhook receiver, a media server, and the
official SDK."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from telnyx import AsyncTelnyx
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as UpgradeRequest

from simulators.telnyx.account import CONNECTION_ID
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.server import TelnyxSimulator
from tests.support.waiting import TIMEOUT_SECONDS

NO_FAULTS = CarrierFaults()


@dataclass(frozen=True, slots=True)
class Delivery:
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def type(self) -> str:
        return str(self.json["data"]["event_type"])


class WebhookReceiver:
    """Answers each delivery with the next of `answers`, then with 200."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.answers: list[int] = []
        self.url = ""
        self._open: list[asyncio.StreamWriter] = []
        self._arrived = asyncio.Condition()

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.deliveries]

    async def wait_for(self, event_type: str, count: int = 1) -> Delivery:
        async with asyncio.timeout(TIMEOUT_SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: self.types.count(event_type) >= count)
        return [each for each in self.deliveries if each.type == event_type][count - 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request per connection."""
        self._open.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = (line.split(": ", 1) for line in head.splitlines()[1:] if line)
        headers = {name.lower(): value for name, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        async with self._arrived:
            self.deliveries.append(Delivery(headers, body))
            self._arrived.notify_all()
        status = self.answers.pop(0) if self.answers else 200
        answer = f"HTTP/1.1 {status} .\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        writer.write(answer.encode())
        writer.close()

    async def close(self) -> None:
        for writer in self._open:
            await writer.wait_closed()


@asynccontextmanager
async def webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks"
        yield receiver
        await receiver.close()


@dataclass(slots=True)
class MediaSocket:
    """The bridge's end of a media stream."""

    connection: ServerConnection
    frames: list[Any] = field(default_factory=list)
    closed: bool = False
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def request(self) -> UpgradeRequest:
        assert self.connection.request is not None
        return self.connection.request

    def of(self, event: str) -> list[Any]:
        return [frame for frame in self.frames if frame["event"] == event]

    async def wait_for(self, event: str, count: int = 1) -> Any:
        async with asyncio.timeout(TIMEOUT_SECONDS), self.arrived:
            await self.arrived.wait_for(lambda: len(self.of(event)) >= count)
        return self.of(event)[count - 1]

    async def wait_closed(self) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS), self.arrived:
            await self.arrived.wait_for(lambda: self.closed)

    async def send(self, frame: object) -> None:
        await self.connection.send(msgspec.json.encode(frame).decode())

    async def speak(self, payload: bytes) -> None:
        encoded = base64.b64encode(payload).decode()
        await self.send({"event": "media", "media": {"payload": encoded}})

    async def listen(self) -> None:
        try:
            async for message in self.connection:
                async with self.arrived:
                    self.frames.append(msgspec.json.decode(message))
                    self.arrived.notify_all()
        except ConnectionClosed:
            pass
        async with self.arrived:
            self.closed = True
            self.arrived.notify_all()


class MediaServer:
    def __init__(self) -> None:
        self.url = ""
        self.sockets: asyncio.Queue[MediaSocket] = asyncio.Queue()

    async def accept(self, connection: ServerConnection) -> None:
        socket = MediaSocket(connection)
        await self.sockets.put(socket)
        await socket.listen()

    async def socket(self) -> MediaSocket:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.sockets.get()


@asynccontextmanager
async def media_server() -> AsyncIterator[MediaServer]:
    media = MediaServer()
    async with serve(media.accept, "127.0.0.1", 0, compression=None) as server:
        media.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/media"
        yield media


class Exchange:
    """A simulator with two clients: the SDK, and plain HTTP."""

    def __init__(
        self, simulator: TelnyxSimulator, sdk: AsyncTelnyx, http: httpx.AsyncClient
    ) -> None:
        self.simulator = simulator
        self.sdk = sdk
        self.http = http

    async def dial(self, to: str = "+15550100", **options: Any) -> str:
        answer = await self.sdk.calls.dial(
            connection_id=CONNECTION_ID, to=to, from_="+15550199", **options
        )
        assert answer.data is not None
        return answer.data.call_control_id


@asynccontextmanager
async def exchange(
    person: Person, faults: CarrierFaults = NO_FAULTS, **options: Any
) -> AsyncIterator[Exchange]:
    async with (
        TelnyxSimulator(person=person, faults=faults, **options) as simulator,
        AsyncTelnyx(api_key="KEY-test", base_url=simulator.api_base, max_retries=0) as sdk,
        httpx.AsyncClient(
            base_url=simulator.api_base, headers={"authorization": "Bearer KEY-test"}
        ) as http,
    ):
        yield Exchange(simulator, sdk, http)
