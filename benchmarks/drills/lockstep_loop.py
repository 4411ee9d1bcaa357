"""An event loop in virtual time that also carries blocking code.

A job that would run in a thread of the program under test runs in a thread here, too. One thread
runs at a time: the loop waits until the job sleeps or ends. So a run repeats itself exactly, and a
blocking request that takes six seconds takes six virtual seconds without holding up the loop.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from benchmarks.media.virtual_loop import Connection, Hears, VirtualLoop

T = TypeVar("T")
Job = Callable[[], object]

DEADLOCK_SECONDS = 30.0
_MANY = 1_000_000
"""Threads of a pool that has no limit."""


class _Pool:
    """Runs as many jobs at a time as the program's own pool has threads."""

    def __init__(self, size: int) -> None:
        self.free = size
        self.waiting: deque[Job] = deque()


class CutConnection(Connection):
    """Lets the far end know that it was closed, as TCP does. `cut` breaks it without a word to the
    program, which is dead by then."""

    def __init__(self, protocol: Any, hears: Hears, on_closed: Callable[[], None]) -> None:
        self._on_closed = on_closed
        self._is_cut = False
        super().__init__(protocol, hears)

    def deliver(self, data: bytes) -> None:
        if not self._is_cut:
            super().deliver(data)

    def write(self, data: Any) -> None:
        if not self._is_cut:
            super().write(data)

    def close(self) -> None:
        if not self.is_closing():
            self._on_closed()
        super().close()

    def cut(self) -> None:
        self._is_cut = True
        if not self.is_closing():
            self._closing = True
            self._socket.close()
            self._on_closed()


class Listener:
    """A server of the program, like `asyncio.Server`."""

    sockets = ()

    def __init__(self, protocol_factory: Callable[[], Any]) -> None:
        self.is_open = True
        self._protocol_factory = protocol_factory
        self._connections: list[CutConnection] = []

    def accept(self, hears: Hears, on_closed: Callable[[], None]) -> CutConnection:
        connection = CutConnection(self._protocol_factory(), hears, on_closed)
        self._connections.append(connection)
        return connection

    def is_serving(self) -> bool:
        return self.is_open

    def close(self) -> None:
        self.is_open = False

    def cut(self) -> None:
        """The process has died."""
        self.close()
        for connection in self._connections:
            connection.cut()


class LockstepLoop(VirtualLoop):
    """`answers` is the far end of every connection of the program. The port identifies a server."""

    def __init__(self, answers: Hears) -> None:
        super().__init__(answers)
        self._gave_way = threading.Semaphore(0)
        self._pools: dict[object, _Pool] = {}
        self._listeners: dict[int, list[Listener]] = {}

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass in a job."""
        turn = threading.Semaphore(0)
        self.call_later(seconds, self._resume, turn)
        self._gave_way.release()
        turn.acquire()

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *_: Any, **__: Any
    ) -> Any:
        listener = Listener(protocol_factory)
        self._listeners.setdefault(port, []).append(listener)
        return listener

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        protocol = protocol_factory()
        return CutConnection(protocol, self._answers, lambda: None), protocol

    def dial_port(self, port: int, hears: Hears, on_closed: Callable[[], None]) -> CutConnection:
        """Connect to the first server that is open. Raises `ConnectionRefusedError`."""
        is_open = (each for each in self._listeners.get(port, ()) if each.is_open)
        listener = next(is_open, None)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        return listener.accept(hears, on_closed)

    def run_in_executor(  # type: ignore[override]  # the parent's takes type variables
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        size = getattr(executor, "_max_workers", _MANY)
        pool = self._pools.setdefault(executor, _Pool(size))
        pool.waiting.append(partial(self._run, pool, future, partial(func, *args)))
        self.call_soon(self._start_next, pool)
        return future

    def run_job(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        """Run a job outside of all pools, as an AWS Lambda runs."""
        return self.run_in_executor(None, job)

    def _start_next(self, pool: _Pool) -> None:
        if pool.free and pool.waiting:
            pool.free -= 1
            threading.Thread(target=pool.waiting.popleft(), daemon=True).start()
            self._wait_for_job()

    def _resume(self, turn: threading.Semaphore) -> None:
        turn.release()
        self._wait_for_job()

    def _wait_for_job(self) -> None:
        if not self._gave_way.acquire(timeout=DEADLOCK_SECONDS):
            raise RuntimeError("a job waits for a lock that a sleeping job holds")

    def _run(self, pool: _Pool, future: asyncio.Future[T], job: Callable[[], T]) -> None:
        """The loop's thread waits while this one is active, so it may use the loop."""
        try:
            outcome = partial(_set_result, future, job())
        except BaseException as error:  # noqa: BLE001 - whoever awaits the job gets its error
            outcome = partial(_set_exception, future, error)
        self.call_soon(outcome)
        self.call_soon(self._on_end, pool)
        self._gave_way.release()

    def _on_end(self, pool: _Pool) -> None:
        pool.free += 1
        self._start_next(pool)


def _set_result(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
