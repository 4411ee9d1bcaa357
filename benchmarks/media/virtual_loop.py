"""An event loop in virtual time with connections in memory. Everything happens at once, in one
thread, and in the same order every time. No operating system takes part."""

import asyncio
import selectors
import socket
from collections.abc import Callable
from typing import Any

Hears = Callable[["Connection", bytes], None]
"""Called at the far end of a connection with every piece of data that it is sent."""


class Connection(asyncio.Transport):
    """The end of the program under test. `deliver` passes on what the far end sends."""

    def __init__(self, protocol: Any, hears: Hears) -> None:
        self._socket = socket.socket()  # needed for setting options; it is never connected
        super().__init__({"socket": self._socket})
        self._protocol = protocol
        self._is_buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._hears = hears
        self._closing = False
        protocol.connection_made(self)

    def deliver(self, data: bytes) -> None:
        if not self._is_buffered:
            self._protocol.data_received(data)
            return
        while data:
            room = self._protocol.get_buffer(-1)
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self._protocol.buffer_updated(size)
            data = data[size:]

    def write(self, data: Any) -> None:
        self._hears(self, bytes(data))

    def get_write_buffer_size(self) -> int:
        return 1  # otherwise picows would write to the socket itself

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._socket.close()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


class _Time(selectors.DefaultSelector):
    """Passes time where a real loop would wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the loop waits, but nothing is scheduled")
        self.now += max(0.0, timeout)
        return []


class _Server:
    """The part of `asyncio.Server` that the programs use."""

    sockets = ()

    def is_serving(self) -> bool:
        return True

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass

    async def serve_forever(self) -> None:
        await asyncio.get_running_loop().create_future()


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. `dial` connects to a program that listens, and `answers` receives the connections
    that a program makes. Work for threads runs at once."""

    def __init__(self, answers: Hears) -> None:
        self._passing = _Time()
        super().__init__(self._passing)
        self._answers = answers
        self._listening: Callable[[], Any] | None = None

    def time(self) -> float:
        return self._passing.now

    def dial(self, hears: Hears) -> Connection:
        assert self._listening is not None, "nobody listens"
        return Connection(self._listening(), hears)

    async def create_server(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        self._listening = protocol_factory
        return _Server()

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        protocol = protocol_factory()
        return Connection(protocol, self._answers), protocol

    def run_in_executor(  # type: ignore[override]  # the parent's takes type variables
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        async def job() -> Any:
            return func(*args)

        return self.create_task(job())
