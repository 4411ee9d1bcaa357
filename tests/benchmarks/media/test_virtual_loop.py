"""An event loop that never waits for real time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from benchmarks.media.virtual_loop import Connection, VirtualLoop


class Echo(asyncio.Protocol):
    """Returns what it receives, 5 s later."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(5, self._transport.write, data)


class RecordingEnd:
    """A far end that records what it receives, and when."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []

    def __call__(self, line: Connection, data: bytes) -> None:
        self.pieces.append((asyncio.get_running_loop().time(), data))
        line.close()


def run(loop: VirtualLoop, program: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(program)


def test_a_program_that_dials_is_answered_in_virtual_time() -> None:
    far_end = RecordingEnd()
    loop = VirtualLoop(far_end)

    async def program() -> None:
        await loop.create_server(Echo, "127.0.0.1", 80)
        loop.dial(far_end).deliver(b"anybody there?")
        await asyncio.sleep(60)

    run(loop, program())
    assert far_end.pieces == [(5.0, b"anybody there?")]


def test_the_far_end_of_a_connection_answers() -> None:
    far_end = RecordingEnd()
    loop = VirtualLoop(far_end)

    async def program() -> None:
        transport, _ = await loop.create_connection(asyncio.Protocol, "model.example", 443)
        transport.write(b"hello")
        assert transport.is_closing()

    run(loop, program())
    assert far_end.pieces == [(0.0, b"hello")]


class Small(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self._room = bytearray(4)
        self.read = b""

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.read += self._room[:nbytes]


def test_what_does_not_fit_comes_in_pieces() -> None:
    loop, small = VirtualLoop(RecordingEnd()), Small()

    async def program() -> None:
        line = Connection(small, RecordingEnd())
        line.deliver(b"0123456789")
        line.close()

    run(loop, program())
    assert small.read == b"0123456789"


def test_the_work_of_a_thread_is_done_at_once_and_its_fault_is_told_to_who_waits() -> None:
    done: list[str] = []

    async def program() -> None:
        working = asyncio.to_thread(done.append, "work")
        await working
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)

    run(VirtualLoop(RecordingEnd()), program())
    assert done == ["work"]


def test_a_program_that_waits_for_nothing_is_told_so() -> None:
    async def program() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing is scheduled"):
        run(VirtualLoop(RecordingEnd()), program())
