"""The caller and the model of the counted call follow the protocols. `test_counted_call.py` runs
them against the container's own bridge."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from benchmarks.media.rfc6455 import PING, PONG, frame, unmasked
from benchmarks.media.virtual_ends import Caller, Model
from benchmarks.media.virtual_loop import Connection, VirtualLoop
from phonebridge.settings import ModelAudio

SOUND = b'{"event":"media","media":{"payload":"' + b"/" * 4 * 54 + b'"}}'
"""162 bytes of G.711, 20.25 ms."""
MARK = b'{"event":"mark","mark":{"name":"heard-1"}}'


class Line(asyncio.Protocol):
    """The container's line, which records what arrives and when."""

    def __init__(self) -> None:
        self.came: list[tuple[float, bytes]] = []

    def data_received(self, data: bytes) -> None:
        self.came.append((asyncio.get_running_loop().time(), data))


def run_story(model: Model, story: Callable[[VirtualLoop], Awaitable[None]]) -> None:
    loop = VirtualLoop(model.hear)

    async def program() -> None:
        await story(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(program())


def test_a_mark_comes_back_when_the_sound_before_it_has_been_played() -> None:
    line = Line()

    async def story(loop: VirtualLoop) -> None:
        caller = Caller(loop)
        connection = Connection(line, caller.hear)
        for message in (SOUND, SOUND, MARK):
            connection.write(frame(message, masked=False))
        await asyncio.sleep(1)
        assert caller.played_ms == 40.5
        connection.close()

    run_story(Model(ModelAudio.G711), story)
    [(at, mark)] = line.came
    assert round(at, 4) == 0.0405
    assert unmasked(mark) == MARK


def test_the_caller_speaks_fifty_times_a_second() -> None:
    line = Line()

    async def story(loop: VirtualLoop) -> None:
        caller = Caller(loop)
        caller.line = Connection(line, caller.hear)
        await caller.speak(3)
        caller.line.close()

    run_story(Model(ModelAudio.G711), story)
    assert [round(at, 3) for at, _ in line.came] == [0.0, 0.02, 0.04]
    assert b'"chunk":"3"' in line.came[-1][1]


def test_the_model_confirms_the_settings_it_was_asked_for_and_then_only_listens() -> None:
    line, model = Line(), Model(ModelAudio.G711)
    settings = {"type": "realtime", "instructions": "Be brief."}
    update = msgspec.json.encode({"type": "session.update", "session": settings})

    async def story(_: VirtualLoop) -> None:
        connection = Connection(line, model.hear)
        connection.write(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        connection.write(frame(update, masked=True))
        connection.write(frame(b"sound", masked=True))
        connection.write(frame(b"", True, PING))
        await asyncio.sleep(1)
        connection.close()

    run_story(model, story)
    accepted, created, updated, pong = [data for _, data in line.came]
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in accepted  # RFC 6455, 1.3
    assert b'"session.created"' in created
    assert b'"session.updated"' in updated
    assert b"Be brief." in updated
    assert pong == frame(b"", False, PONG)
    assert model.heard == 1
