"""The container's call in virtual time, from picows inwards, as counted_call.py counts it.

There is no table. A call writes only at its beginning and its end, and writes in between fail.
"""

import asyncio
import gc
import os
from typing import Any, cast

from picows import ws_connect, ws_create_server

from benchmarks.media.virtual_ends import CALL_ID, Caller
from media_bridge.openai.client import OpenAIRealtime
from media_bridge.runtime.call_claims import ClaimedCall
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
from phonebridge.storage.call_store import DynamoCallStore


class OnThisLoop(OpenAIRealtime):
    async def connect(self, config: CallConfig, socket: WebSocket) -> None:
        # aiofastnet would ask the operating system. picows alone asks the loop.
        await ws_connect(lambda: socket, self.url(config), use_aiofastnet=False)


def now_ms() -> int:
    return 0


async def run(tasks: asyncio.TaskGroup, caller: Caller) -> None:
    call = Call(
        call_id=CALL_ID,
        direction=Direction.OUTBOUND,
        to="+15550123",
        from_="+15550100",
        created_at_ms=0,
        leg=Leg(f"v3:{CALL_ID}"),
    )
    phone = WebSocket()
    session = CallSession(ClaimedCall(call, CallConfig()), phone, _services())
    await ws_create_server(lambda _: phone, "127.0.0.1", 0, use_aiofastnet=False)
    tasks.create_task(session.run())
    gc.collect()
    gc.freeze()  # as the container does
    await caller.dial()


def _services() -> Services:
    settings = MediaSettings.from_env(os.environ)
    log, nothing, pauses = logger("counted-call"), cast(Any, None), RetryPauses()
    return Services(
        settings=settings,
        store=DynamoCallStore("calls", nothing, now_ms),
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
