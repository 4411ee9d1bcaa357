"""Our end of a WebSocket, with another library at the other end."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
from picows import WSTransport, ws_connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from media_bridge.runtime import websocket
from media_bridge.runtime.websocket import Buffer, WebSocket
from tests.support.waiting import TIMEOUT_SECONDS, until

Conversation = Callable[[ServerConnection], Awaitable[None]]


class Socket(WebSocket):
    """Keeps what it is called back with."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.ends: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.on_message = self._keep
        self.on_close = lambda code, reason: self.ends.put_nowait((code, reason))

    @property
    def transport(self) -> WSTransport:
        assert self._transport is not None
        return self._transport

    def _keep(self, message: Buffer) -> None:
        self.messages.put_nowait(bytes(message))


async def soon(queue: asyncio.Queue[Any]) -> Any:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await queue.get()


@asynccontextmanager
async def facing(conversation: Conversation) -> AsyncIterator[Socket]:
    """A socket whose peer converses so, and then stays until we leave."""

    async def converse(peer: ServerConnection) -> None:
        await conversation(peer)
        await peer.wait_closed()

    socket = Socket()
    async with serve(converse, "127.0.0.1", 0, compression=None, close_timeout=0.1) as server:
        await ws_connect(lambda: socket, f"ws://127.0.0.1:{_port(server)}")
        yield socket
        socket.close()


def _port(server: Any) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def test_messages_come_whole_and_in_order() -> None:
    async def speak(peer: ServerConnection) -> None:
        await peer.send("first")
        await peer.send(["", "in ", "", "three", " pieces"])
        await peer.ping()
        await peer.send(b"\x00\xff")
        await peer.send("ü" * 100_000)

    async with facing(speak) as socket:
        heard = [await soon(socket.messages) for _ in range(4)]
    assert heard == [b"first", b"in three pieces", b"\x00\xff", ("ü" * 100_000).encode()]


async def test_what_is_sent_arrives_as_text() -> None:
    received: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def listen(peer: ServerConnection) -> None:
        async for message in peer:
            received.put_nowait(message)

    async with facing(listen) as socket:
        socket.send(b"text")
        socket.send(b'{"type":"bytes"}')
        assert [await soon(received) for _ in range(2)] == ["text", '{"type":"bytes"}']


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (1000, "bye", (1000, "bye")),
        (3000, "invalid_api_key", (3000, "invalid_api_key")),
        (4000, "", (4000, "")),
        (None, "", (1005, "")),
    ],
)
async def test_the_peers_close_is_told_with_its_code_and_answered(
    code: int | None, reason: str, told: tuple[int, str]
) -> None:
    answers: asyncio.Queue[int | None] = asyncio.Queue()

    async def leave(peer: ServerConnection) -> None:
        await peer.close(code, reason)  # type: ignore[arg-type]  # None: no code in the frame
        answers.put_nowait(peer.protocol.close_rcvd.code if peer.protocol.close_rcvd else None)

    async with facing(leave) as socket:
        assert await soon(socket.ends) == told
        assert await soon(answers) == 1000


async def test_a_connection_that_vanishes_is_told_as_abnormal() -> None:
    async def vanish(peer: ServerConnection) -> None:
        peer.transport.abort()

    async with facing(vanish) as socket:
        assert await soon(socket.ends) == (1006, "")


async def test_our_close_reaches_the_peer_and_nothing_is_sent_after_it() -> None:
    closed: asyncio.Queue[int | None] = asyncio.Queue()

    async def listen(peer: ServerConnection) -> None:
        assert await peer.recv() == "before"
        with pytest.raises(ConnectionClosed):
            await peer.recv()
        closed.put_nowait(peer.close_code)

    async with facing(listen) as socket:
        socket.send(b"before")
        socket.close(1008)
        socket.send(b"after")
        socket.close()
        assert await soon(closed) == 1008
        assert await soon(socket.ends) == (1008, "")
        socket.send(b"long after")


async def test_a_socket_closed_before_it_was_open_does_not_stay_open() -> None:
    """A call may end while its model session is still being opened."""
    closed: asyncio.Queue[int | None] = asyncio.Queue()

    async def wait(peer: ServerConnection) -> None:
        await peer.wait_closed()
        closed.put_nowait(peer.close_code)

    socket = Socket()
    socket.close()
    async with serve(wait, "127.0.0.1", 0, compression=None) as server:
        await ws_connect(lambda: socket, f"ws://127.0.0.1:{_port(server)}")
        assert await soon(closed) == 1000


async def test_a_message_of_endless_pieces_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MAX_MESSAGE_BYTES", 10_000)
    closed: asyncio.Queue[int | None] = asyncio.Queue()

    async def pieces() -> AsyncIterator[str]:
        while True:
            yield "x" * 1000
            await asyncio.sleep(0)

    async def never_stop(peer: ServerConnection) -> None:
        with pytest.raises(ConnectionClosed):
            await peer.send(pieces())
        closed.put_nowait(peer.close_code)

    async with facing(never_stop) as socket:
        assert await soon(closed) == 1009
        assert socket.messages.empty()


async def test_a_peer_that_goes_on_sending_still_gets_our_close() -> None:
    closed: asyncio.Queue[int | None] = asyncio.Queue()

    async def speak_on(peer: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await peer.send("and another thing")
        closed.put_nowait(peer.close_code)

    async with facing(speak_on) as socket:
        await soon(socket.messages)
        socket.close(1008)
        heard = socket.messages.qsize()
        assert await soon(closed) == 1008
        assert await soon(socket.ends) == (1008, "")
        assert socket.messages.qsize() == heard


async def test_a_peer_that_takes_nothing_any_more_does_not_keep_its_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.05)
    stalled = asyncio.Event()

    async def read_nothing(peer: ServerConnection) -> None:
        peer.transport.pause_reading()
        await peer.send("I shall not listen")

    async with facing(read_nothing) as socket:
        await soon(socket.messages)
        socket.pause_writing = stalled.set  # type: ignore[method-assign]
        while not stalled.is_set():
            socket.send(b"x" * 100_000)
        socket.close()
        assert (await soon(socket.ends))[0] == 1000


@contextmanager
def everything_else_frozen() -> Iterator[None]:
    """So that a collection looks at what is new, not at all that a test process has imported."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    ("frame", "code"),
    [(b"\x85\x00", 1002), (b"\x81\x82", 1002), (b"\x88\x02\x03\xe7", 1002)],
    ids=["no opcode", "masked", "no close code"],
)
async def test_a_server_that_breaks_the_protocol_is_told_so_and_nothing_is_left_unheard(
    frame: bytes, code: int
) -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))

    async def break_it(peer: ServerConnection) -> None:
        peer.transport.write(frame)

    with everything_else_frozen():
        async with facing(break_it) as socket:
            broken = weakref.ref(socket.transport)
            assert (await soon(socket.ends))[0] == code
        await until(lambda: gc.collect() >= 0 and broken() is None)
    assert unheard == []


async def test_a_peer_that_stops_reading_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "STALL_SECONDS", 0.05)

    async def read_nothing(peer: ServerConnection) -> None:
        peer.transport.pause_reading()
        await peer.send("I shall not listen")

    async with facing(read_nothing) as socket:
        await soon(socket.messages)
        for _ in range(20):
            socket.send(b"x" * 1_000_000)
        assert (await soon(socket.ends))[0] == 1006


async def test_a_peer_that_reads_slowly_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "STALL_SECONDS", 5.0)
    sizes: asyncio.Queue[int] = asyncio.Queue()

    async def read(peer: ServerConnection) -> None:
        async for message in peer:
            sizes.put_nowait(len(message))

    async with facing(read) as socket:
        for _ in range(10):
            socket.send(b"x" * 900_000)
        assert [await soon(sizes) for _ in range(10)] == [900_000] * 10
        assert socket.ends.empty()
