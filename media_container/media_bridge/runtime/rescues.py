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
from phonebridge.call.call import Call, CallStatus
from phonebridge.call.overdue import event_of_lost_stream
from phonebridge.errors import PhonebridgeError
from phonebridge.ports import CallStore
from phonebridge.switchboard import Switchboard

PAUSES_SECONDS = (0, 1, 2, 3, 3, 3, 3, 5, 5, 5, 5, 10, 10, 10, 10, 15)
"""Before each look. All looks together last as long as a caller waits for a new container."""
MAX_THREADS = 8


class Rescues:
    def __init__(
        self,
        store: CallStore,
        switchboard: Switchboard,
        log: Logger,
        now_ms: Callable[[], int],
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._store = store
        self._switchboard = switchboard
        self._log = log
        self._now_ms = now_ms
        self._pauses_seconds = pauses_seconds
        self._threads = Threads("rescue", MAX_THREADS)
        self._running: set[str] = set()
        self._tasks: asyncio.TaskGroup
        self.has_room: Callable[[], bool] = lambda: True
        """Whether this task, or another one, can take a call."""

    def start(self, call_id: str, lost_stream: int, after_seconds: float = 0.0) -> None:
        """Let another stream replace `lost_stream`, unless that has been done."""
        if call_id not in self._running:
            self._running.add(call_id)
            rescue = self._tasks.create_task(self._rescue(call_id, lost_stream, after_seconds))
            rescue.add_done_callback(lambda _: self._running.discard(call_id))

    async def run(self) -> None:
        """As long as the process runs."""
        async with asyncio.TaskGroup() as self._tasks:
            await asyncio.Event().wait()

    async def _rescue(self, call_id: str, lost_stream: int, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
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

    def _look(self, call_id: str, lost_stream: int, has_room: bool) -> bool:
        """In a thread. Return whether nothing more is to be done."""
        call = self._store.load(call_id)
        if call is None or _is_settled(call, lost_stream):
            return True
        event = event_of_lost_stream(call, has_room=has_room, now_ms=self._now_ms())
        if event is None:
            self._switchboard.pursue(call_id)
        else:
            call = self._switchboard.settle(call, event)
        # A stream that begins with the dial is replaced when somebody answers.
        return call.status in (CallStatus.DIALING, CallStatus.ENDED)


def _is_settled(call: Call, lost_stream: int) -> bool:
    is_over = call.status in (CallStatus.TRANSFERRED, CallStatus.ENDED) or call.is_unwanted
    return is_over or call.attached_stream > lost_stream
