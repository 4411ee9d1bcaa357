"""A media container on a loopback port, between a table and a Telnyx in memory, and a model that a
target plays."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import urllib3
from aws_lambda_powertools import Logger

from benchmarks.drills.mechanism import replaced
from benchmarks.fuzz.control_plane import AcceptingTelnyx, StrictTable
from benchmarks.fuzz.decoder_targets import LEG, NOW_MS
from benchmarks.fuzz.settings import SECRET, media_settings
from benchmarks.fuzz.target import Broken
from media_bridge import __main__ as container
from media_bridge.runtime.server import TOKEN_HEADER, run_server
from media_bridge.runtime.worker import DrainTimes, MediaWorker
from phonebridge import stream_token
from phonebridge.call.call import Call, CallStatus, Direction, Hangup, Leg
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallHungUp, CallRequested, DialAccepted
from phonebridge.call.lifecycle import advance

SLOTS = 40
END_SECONDS = 20.0
"""Longer than the wait for the last words, and for writes."""
LIBRARIES = ("asyncio", "picows")


class SharedTable(StrictTable):
    """A table for several threads."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0, lambda: None)
        self._lock = threading.RLock()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.endswith("_item") and name != "query":
            return found
        lock = super().__getattribute__("_lock")

        def locked(**request: Any) -> Any:
            with lock:
                return found(**request)

        return locked


class NoMailbox:
    """Replaces `MailboxPoll`."""

    def __init__(self, *_: object) -> None:
        pass

    async def is_empty(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def renew(self) -> None:
        pass


class Tracebacks(logging.Handler):
    """Exceptions that were caught at a border, and logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and (error := record.exc_info[1]):
            frame = error.__traceback__
            while frame and frame.tb_next:
                frame = frame.tb_next
            place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
            self.found.append(f"{record.getMessage()}: {type(error).__name__}: {error} at {place}")


@dataclass(slots=True)
class Container:
    port: int
    worker: MediaWorker
    tracebacks: Tracebacks
    calls: list[Call] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/media-bridge"

    def answered(self, config: CallConfig) -> Call:
        """A new call, for whose first stream Telnyx was just asked."""
        number = len(self.calls) + 1
        leg = Leg(f"{LEG.call_control_id}-{number}", f"leg-{number}", "session-1")
        call = Call(
            call_id=f"call-{number}",
            direction=Direction.OUTBOUND,
            to="+15550100",
            from_="+15550199",
            created_at_ms=NOW_MS,
        )
        for event in (CallRequested(), DialAccepted(leg), CallAnswered(leg, NOW_MS)):
            call = advance(call, event, NOW_MS)
        self.worker.services.store.create(call, config)
        self.calls.append(call)
        return call

    def token(self, call: Call) -> dict[str, str]:
        now_ms = self.worker.services.now_ms()
        return {TOKEN_HEADER: stream_token.issue(SECRET, call.call_id, 1, now_ms)}

    async def hang_up(self) -> None:
        """All callers hang up. Each call must have its record, and its slot must be free."""
        switchboard, store = self.worker.services.switchboard, self.worker.services.store
        for call in self.calls:
            hangup = Hangup("normal_clearing", "caller", NOW_MS + 60_000)
            switchboard.apply(call.call_id, CallHungUp(call.leg or LEG, hangup))
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.worker._idle.wait()
        except TimeoutError:
            raise Broken("a call keeps its slot although its caller has hung up") from None
        for call in self.calls:
            record = store.load(call.call_id)
            if record is None or record.status is not CallStatus.ENDED or record.outcome is None:
                raise Broken(f"call {call.call_id} has no end")
        self.check_log()

    def check_log(self) -> None:
        if self.tracebacks.found:
            raise Broken(self.tracebacks.found[0])


@asynccontextmanager
async def running_container(model_url: str) -> AsyncIterator[Container]:
    table, telnyx, tracebacks = SharedTable(), AcceptingTelnyx(), Tracebacks()
    with ExitStack() as stack:
        for owner, name, part in (
            (container, "dynamodb_client", lambda *_: table),
            (container, "heartbeat_client", lambda *_: table),
            (container, "dynamodb_access", lambda _: None),
            (container, "MailboxPoll", NoMailbox),
            (container, "_log", lambda: _log(tracebacks)),
            (urllib3, "PoolManager", lambda **_: telnyx),
        ):
            stack.enter_context(replaced(owner, name, part))
        settings = media_settings(OPENAI_REALTIME_URL=model_url, MAX_CALLS_PER_TASK=str(SLOTS))
        worker = container.media_worker(settings, None)
        worker.drain_times = DrainTimes(0, 0, 1)
        async with worker.running(), run_server(worker, "127.0.0.1", 0) as server:
            yield Container(server.sockets[0].getsockname()[1], worker, tracebacks)
            await worker.drain(0)


def _log(tracebacks: Tracebacks) -> Logger:
    log = Logger(service=f"fuzz-{id(tracebacks)}", logger_handler=tracebacks)
    for library in LIBRARIES:
        logging.getLogger(library).handlers = [tracebacks]
        logging.getLogger(library).propagate = False
    return log
