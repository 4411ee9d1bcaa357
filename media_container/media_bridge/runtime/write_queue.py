"""Writes jobs to the table in order, until each is done.

A job may run twice, because the answer to its first attempt may get lost. So it must be one that
has the same effect when it is repeated.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aws_lambda_powertools import Logger

from media_bridge.runtime.retries import WRITE_FAILURES, RetryPauses, is_passing
from media_bridge.runtime.threads import Threads
from phonebridge.errors import PhonebridgeError

MAX_QUEUED_JOBS = 500
"""Maximum number of jobs that wait for one call. A job takes some hundred bytes, and the longest
message some thousand."""
COMMAND_TIMEOUT_SECONDS = 10.0
"""A key press or a transfer is dropped if it is later than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    run: Callable[[], object]
    on_lost: Callable[[str], object] = lambda reason: None
    """This is called on the event loop with the reason why the job was given up."""
    expires_at: float | None = None
    """A job with this time is tried once, and not after it."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the job has run, or was given up."""


class WriteQueue:
    def __init__(self, log: Logger, threads: Threads, pauses: RetryPauses) -> None:
        self._log = log
        self._threads = threads
        self._pauses = pauses
        self._jobs: deque[Job] = deque()
        self._changed = asyncio.Event()
        self._is_closed = False

    def add(self, job: Job) -> None:
        """Run the job until it succeeds. A queue that is full gives it up."""
        if len(self._jobs) < MAX_QUEUED_JOBS:
            self.add_final(job)
        else:
            self._give_up(job, "too many writes wait for the table")

    def add_final(self, job: Job) -> None:
        """Add one of the last jobs of a call. These are accepted even if the queue is full."""
        self._jobs.append(job)
        self._changed.set()

    def close(self) -> None:
        """`write` returns when everything added before is written."""
        self._is_closed = True
        self._changed.set()

    def discard(self) -> None:
        """Drop everything that waits, and close."""
        self._jobs.clear()
        self.close()

    async def write(self) -> None:
        attempt = 0
        while True:
            self._drop_expired()
            if not self._jobs:
                if self._is_closed:
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            job, attempt = self._jobs[0], attempt + 1
            if await self._try(job, attempt):
                attempt = 0
                if self._jobs:  # `discard` may have taken it
                    self._jobs.popleft()
            else:
                await self._pauses.wait(attempt)

    def _drop_expired(self) -> None:
        now = asyncio.get_running_loop().time()
        expired = [job for job in self._jobs if job.expires_at is not None and job.expires_at < now]
        for job in expired:
            self._jobs.remove(job)
            self._give_up(job, "the table could not be reached in time")

    async def _try(self, job: Job, attempt: int) -> bool:
        """Return False if the job is to be tried again."""
        try:
            await self._threads.run(job.run)
        except (PhonebridgeError, *WRITE_FAILURES) as error:
            if is_passing(error) and job.expires_at is None:
                if attempt == 1:
                    self._log.warning("record delayed", reason=str(error))
                return False
            self._give_up(job, str(error))
        except Exception:  # noqa: BLE001 - the border of a job: the next one may still end the call
            self._log.exception("record not written")
            job.on_lost("a fault on our side")
        job.done.set()
        return True

    def _give_up(self, job: Job, reason: str) -> None:
        self._log.error("record not written", reason=reason)
        job.on_lost(reason)
        job.done.set()
