"""What a call writes while it runs. Audio never waits for it: jobs queue here and run in threads,
one after the other."""

import asyncio
from collections.abc import Callable

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from media_bridge.runtime.threads import Threads
from phonebridge.errors import PhonebridgeError

Job = Callable[[], object]


class WriteQueue:
    def __init__(self, log: Logger, threads: Threads) -> None:
        self._log = log
        self._threads = threads
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()

    def add(self, job: Job) -> None:
        self._jobs.put_nowait(job)

    def close(self) -> None:
        """`write` returns when everything added before is written."""
        self._jobs.put_nowait(None)

    async def write(self) -> None:
        """A record that cannot be written is logged; the call goes on without it."""
        while job := await self._jobs.get():
            try:
                await self._threads.run(job)
            except (PhonebridgeError, BotoCoreError, ClientError) as error:
                self._log.error("record not written", reason=str(error))
            except Exception:  # noqa: BLE001 - the border of a job: the next one may still end the call
                self._log.exception("record not written")
