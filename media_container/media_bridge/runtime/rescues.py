"""Gets calls their next media stream after the last one was lost.

The carrier is asked first. A leg that is over ends the call. For one that is alive, the carrier
closes the old stream and opens the next one, which may reach any task. The rescue looks at the call
again until a task has claimed it, because a command or a socket may get lost on the way.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from aws_lambda_powertools import Logger

from media_bridge.runtime.retries import WRITE_FAILURES
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.turn_writer import TurnWriter
from phonebridge.call.call import Call, CallStatus
from phonebridge.call.overdue import event_of_lost_stream
from phonebridge.errors import PhonebridgeError
from phonebridge.observability.log import call_on_every_line
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.switchboard import Switchboard

PAUSES_SECONDS = (0, 1, 2, 3, 3, 3, 3, 5, 5, 5, 5, 10, 10, 10, 10, 15)
"""Pauses before each look. All looks together last as long as a caller waits for a new
container."""
STREAM_TIMEOUT_MS = 8_000
"""How long a task may take to claim the next stream. In this time, `streaming_start` is repeated
once, because the first attempt may have got lost."""
TURNS_TIMEOUT_SECONDS = 1.0
"""The caller hears nothing meanwhile, so a table that does not answer is not waited for."""
MAX_THREADS = 8


class Rescues:
    def __init__(
        self,
        store: DynamoCallStore,
        switchboard: Switchboard,
        turn_writer: TurnWriter,
        log: Logger,
        now_ms: Callable[[], int],
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._store = store
        self._switchboard = switchboard
        self._turn_writer = turn_writer
        self._log = log
        self._now_ms = now_ms
        self._pauses_seconds = pauses_seconds
        self._threads = Threads("rescue", MAX_THREADS)
        self._running: set[tuple[str, int]] = set()
        """The calls and the lost streams of rescues under way. Two streams of a call may be lost in
        a row, and the first rescue ends with the second stream."""
        self._tasks: asyncio.TaskGroup
        self.has_room: Callable[[], bool] = lambda: True
        """Whether this task, or another one, can take a call."""

    def start(self, call_id: str, lost_stream: int, after_seconds: float = 0.0) -> None:
        """Let another stream replace `lost_stream`, unless that has been done."""
        key = call_id, lost_stream
        if key not in self._running:
            self._running.add(key)
            rescue = self._tasks.create_task(self._rescue(call_id, lost_stream, after_seconds))
            rescue.add_done_callback(lambda _: self._running.discard(key))

    async def run(self) -> None:
        """Run rescues until the process ends."""
        async with asyncio.TaskGroup() as self._tasks:
            await asyncio.Event().wait()

    async def _rescue(self, call_id: str, lost_stream: int, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        await self._write_turns(call_id)
        for pause_seconds in self._pauses_seconds:
            await asyncio.sleep(pause_seconds)
            try:
                look = partial(self._look, call_id, lost_stream, self.has_room())
                if await self._threads.run(look):
                    return
            except (PhonebridgeError, *WRITE_FAILURES) as error:
                self._log.warning("next stream delayed", call_id=call_id, reason=str(error))
            except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
                self._log.exception("rescue of a call FAILED", call_id=call_id)
        self._log.error("no task has taken the call", call_id=call_id)

    async def _write_turns(self, call_id: str) -> None:
        """Write the turns, which the next task reads."""
        # A write that was cancelled half-way would lose its turns.
        writing = self._tasks.create_task(self._turn_writer.wait_until_written(call_id))
        await asyncio.wait({writing}, timeout=TURNS_TIMEOUT_SECONDS)

    def _look(self, call_id: str, lost_stream: int, has_room: bool) -> bool:
        """Look at the call, in a thread. Return True if the rescue is finished."""
        with call_on_every_line(self._log, call_id):
            return self._look_at(self._store.load(call_id), lost_stream, has_room)

    def _look_at(self, call: Call | None, lost_stream: int, has_room: bool) -> bool:
        if call is None:
            return True
        if _is_settled(call, lost_stream):
            self._forget(call)
            return True
        now_ms = self._now_ms()
        event = event_of_lost_stream(
            call,
            has_room=has_room,
            now_ms=now_ms,
            timeout_ms=STREAM_TIMEOUT_MS,
            fallback=self._fallback_of(call),
        )
        if event is None:
            self._switchboard.pursue(call.call_id)
        else:
            call = self._switchboard.settle(call, event)
        self._forget(call)
        # A stream that begins with the dial is replaced when somebody answers.
        return call.status in (CallStatus.DIALING, CallStatus.ENDED)

    def _fallback_of(self, call: Call) -> str:
        config = self._store.config(call.call_id) if call.is_parked else None
        fallback = config.fallback if config else None
        return (fallback.transfer_to if fallback else None) or ""

    def _forget(self, call: Call) -> None:
        """Forget the resume, which no later stream needs."""
        if call.status is CallStatus.ENDED:
            self._store.remove_resume(call.call_id)


def _is_settled(call: Call, lost_stream: int) -> bool:
    is_over = call.status in (CallStatus.TRANSFERRED, CallStatus.ENDED) or call.is_unwanted
    return is_over or call.attached_stream > lost_stream
