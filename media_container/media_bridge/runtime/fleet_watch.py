"""Each task watches the others, and marks those that are silent."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from aws_lambda_powertools import Logger

from media_bridge.runtime.retries import WRITE_FAILURES
from media_bridge.runtime.threads import Threads
from phonebridge import liveness
from phonebridge.liveness import Watch
from phonebridge.storage.fleet import DynamoFleet, TaskState

READ_SECONDS = liveness.HEARTBEAT_SECONDS


class FleetWatch:
    """Watches the other tasks. `on_won` is called with the id of each task that this one has
    marked, because only this one then acts on its calls."""

    def __init__(
        self,
        fleet: DynamoFleet,
        log: Logger,
        own_id: Callable[[], str],
        on_won: Callable[[str], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet = fleet
        self._log = log
        self._own_id = own_id
        self._on_won = on_won
        self._now = now
        self._threads = Threads("watch", 1)
        self._watch = Watch()
        self.others_have_room = False
        """Whether another task could take a call when the tasks were read last."""

    def start_over(self) -> None:
        """Start over, because this task could not write. The others may be silent for the same
        reason."""
        self._watch = self._watch.after_failure()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(READ_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Read all tasks once, and mark those that are silent by now."""
        try:
            tasks = await self._threads.run(self._fleet.tasks)
            counts = {task.task_id: task.version for task in tasks if not task.is_over}
            self._watch = self._watch.after_read(counts, self._now())
            silent = self._watch.silent_tasks() - {self._own_id()}
            lost = silent | {self._own_id()}
            self.others_have_room = any(t.has_room for t in tasks if t.task_id not in lost)
            for task in tasks:
                if task.task_id in silent:
                    await self._mark(task)
        except WRITE_FAILURES as error:
            self._log.error("fleet not read", reason=str(error))
            self._watch = self._watch.after_failure()

    async def _mark(self, task: TaskState) -> None:
        if await self._threads.run(partial(self._fleet.mark_over, task)):
            self._log.error("task is silent", task=task.task_id)
            self._on_won(task.task_id)
