"""One call in virtual time, whose instructions instructions.py counts.

First only the caller speaks, then both converse. At the beginning of each window the process forks
and the copy exits, so the copy's count is everything executed until then.
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from msgspec import Struct

from benchmarks.media.model_script import SPEECH_MS, is_interrupted, lasts_ms
from benchmarks.media.virtual_ends import CALL_ID, FRAME_MS, SETUP_SECONDS, Caller, Model
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
    """Run the container's call, from picows inwards.

    There is no table. A call writes only at its beginning and its end, and writes in between fail.
    """
    from picows import ws_connect, ws_create_server

    from media_bridge.openai.client import OpenAIRealtime
    from media_bridge.runtime.call_session import CallSession
    from media_bridge.runtime.hangups import Hangups
    from media_bridge.runtime.metrics import WorkerMetrics
    from media_bridge.runtime.rescues import Rescues
    from media_bridge.runtime.retries import RetryPauses
    from media_bridge.runtime.services import Services
    from media_bridge.runtime.threads import Threads
    from media_bridge.runtime.tool_runner import ToolRunner
    from media_bridge.runtime.turn_writer import TurnWriter
    from media_bridge.runtime.websocket import WebSocket
    from phonebridge.call.call import Call, Direction, Leg
    from phonebridge.call.config import CallConfig
    from phonebridge.http.public_client import PublicHttpsClient
    from phonebridge.observability.log import logger
    from phonebridge.observability.tracing import Tracer
    from phonebridge.settings import MediaSettings

    class OnThisLoop(OpenAIRealtime):
        async def connect(self, config: CallConfig, socket: WebSocket) -> None:
            # aiofastnet would ask the operating system. picows alone asks the loop.
            await ws_connect(lambda: socket, self.url(config), use_aiofastnet=False)

    def now_ms() -> int:
        return 0

    settings = MediaSettings.from_env(os.environ)
    log, nothing, pauses = logger("counted-call"), cast(Any, None), RetryPauses()
    services = Services(
        settings=settings,
        store=nothing,
        switchboard=nothing,
        model=OnThisLoop(settings),
        log=log,
        turn_writer=TurnWriter(nothing, log, pauses),
        now_ms=now_ms,
        tracer=Tracer("counted-call", None, log, now_ms),
        speech_cache=nothing,
        tool_runner=ToolRunner("", PublicHttpsClient(frozenset()), log, now_ms),
        metrics=WorkerMetrics(settings.metrics_namespace),
        threads=Threads("call", 1),
        pauses=pauses,
        hangups=Hangups(nothing, log, pauses, Threads("hangup", 1)),
        rescues=Rescues(nothing, nothing, nothing, log, now_ms),
    )
    call = Call(
        call_id=CALL_ID,
        direction=Direction.OUTBOUND,
        to="+15550123",
        from_="+15550100",
        created_at_ms=0,
        leg=Leg(f"v3:{CALL_ID}"),
    )
    phone = WebSocket()
    session = CallSession(call, CallConfig(), None, phone, services)
    await ws_create_server(lambda _: phone, "127.0.0.1", 0, use_aiofastnet=False)
    tasks.create_task(session.run())
    gc.collect()
    gc.freeze()  # as the container does
    await caller.dial()


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
