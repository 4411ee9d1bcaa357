"""One call in virtual time, whose instructions instructions.py counts.

First only the caller speaks, then both converse. At the beginning of each window the process forks
and the copy exits, so the copy's count is everything executed until then.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from benchmarks.media.model_script import SPEECH_MS, is_interrupted, lasts_ms
from benchmarks.media.virtual_ends import FRAME_MS, SETUP_SECONDS, Caller, Model
from benchmarks.media.virtual_loop import Connection, VirtualLoop
from phonebridge.settings import ModelAudio


def frames(first: int, turns: int) -> int:
    """The number of the caller's frames in these turns."""
    return round(sum(map(lasts_ms, range(first, first + turns))) / FRAME_MS)


SETTLING_TURNS = 4
"""Turns before counting begins. Python's code adapts to what it runs (PEP 659), and the last of
these turns must play to its end."""
TURNS = 6
"""Turns of the conversation that is counted."""
QUIET_FRAMES = 500
CALLER_FRAMES = frames(SETTLING_TURNS, TURNS)
SPOKEN_FRAMES = round(TURNS * SPEECH_MS / FRAME_MS)
INTERRUPTIONS = sum(map(is_interrupted, range(SETTLING_TURNS + TURNS)))


class Heard(Struct, frozen=True):
    """Evidence that the call ran from its first turn to its last."""

    frames_to_model: int
    played_ms: float
    clears: int


Target = Callable[[asyncio.TaskGroup, Caller, Model], Awaitable[None]]
"""Each target imports what it needs. Imports of the others would affect its garbage collector."""


async def nobody(_: asyncio.TaskGroup, caller: Caller, model: Model) -> None:
    """Accept everything and answer nothing. What remains are the instructions of the far ends."""
    caller.line = Connection(asyncio.Protocol(), caller.hear)
    model.line = Connection(asyncio.Protocol(), model.hear)


async def phonebridge(tasks: asyncio.TaskGroup, caller: Caller, _: Model) -> None:
    from benchmarks.media import counted_bridge

    await counted_bridge.run(tasks, caller)


async def relay(tasks: asyncio.TaskGroup, caller: Caller, _: Model) -> None:
    """Run the relay of benchmarks/peers unchanged."""
    import relay as program

    sys.argv = ["relay.py", "--port", "0"]
    tasks.create_task(program.main())
    await asyncio.sleep(SETUP_SECONDS)
    await caller.dial()


TARGETS: dict[str, Target] = {each.__name__: each for each in (nobody, phonebridge, relay)}


async def converse(caller: Caller, model: Model, first: int, turns: int) -> None:
    async with asyncio.TaskGroup() as both:
        both.create_task(model.converse(first, turns))
        both.create_task(caller.speak(frames(first, turns)))


async def call(target: Target, caller: Caller, model: Model) -> None:
    async with asyncio.TaskGroup() as tasks:
        await target(tasks, caller, model)
        await converse(caller, model, 0, SETTLING_TURNS)
        _mark()
        await caller.speak(QUIET_FRAMES)
        _mark()
        await converse(caller, model, SETTLING_TURNS, TURNS)
        # The last count ends here: what follows is not part of the call.
        _end(Heard(model.heard, caller.played_ms, caller.clears))


def _mark() -> None:
    """Fork, and end the copy here."""
    copy = os.fork()
    if not copy:
        os._exit(0)
    os.waitpid(copy, 0)


def _end(evidence: Heard) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(evidence))
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    target = TARGETS[parser.parse_args().target]
    model = Model(ModelAudio(os.environ["MODEL_AUDIO"]))
    loop = VirtualLoop(model.hear)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(call(target, Caller(loop), model))


if __name__ == "__main__":
    main()
