"""Reads a task's mailbox. Each command is carried out once, however often it is read."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from aws_lambda_powertools import Logger

from media_bridge.runtime.call_session import CallSession
from media_bridge.runtime.mailbox_poll import MailboxPoll
from media_bridge.runtime.retries import WRITE_FAILURES
from media_bridge.runtime.threads import Threads
from phonebridge.observability.log import call_on_every_line
from phonebridge.storage.mailbox import COMMAND_SECONDS, DynamoMailbox, Posted

T = TypeVar("T")

READ_SECONDS = 0.15
"""Interval of the polls. Each costs half a read unit, and a command waits for half of the interval
on average."""
MEMORY_SECONDS = 10.0 * COMMAND_SECONDS
"""How long handled commands are remembered. By then a command has expired, even by the sender's
clock."""


class MailboxReader:
    """A command is carried out first and taken out of the mailbox afterwards. Whether the answer
    to either request arrives makes no difference: what was carried out is remembered."""

    def __init__(self, mailbox: DynamoMailbox, poll: MailboxPoll, log: Logger) -> None:
        self._mailbox = mailbox
        self._poll = poll
        self._log = log
        self._threads = Threads("mailbox", 1)
        self._done: dict[str, float] = {}

    async def run(
        self, task_id: Callable[[], str], sessions: Callable[[], dict[str, CallSession]]
    ) -> None:
        while True:
            await asyncio.sleep(READ_SECONDS)
            if sessions() and not await self._poll.is_empty():
                await self.read(task_id(), sessions())

    def close(self) -> None:
        self._poll.close()

    def renew(self) -> None:
        """Begin anew, because the task has a new id."""
        self._poll.renew()

    async def read(self, task_id: str, sessions: dict[str, CallSession]) -> None:
        nothing: list[Posted] = []
        collect = partial(self._mailbox.collect, task_id)
        for posted in await self._from_table(collect, nothing):
            # A call that is over, or about to begin: the command waits for it until it expires.
            session = sessions.get(posted.call_id)
            if session and posted.command_id not in self._done:
                self._carry_out(posted, session)
            if posted.command_id in self._done:
                acknowledge = partial(self._mailbox.acknowledge, task_id, posted)
                await self._from_table(acknowledge, None)

    def _carry_out(self, posted: Posted, session: CallSession) -> None:
        now = asyncio.get_running_loop().time()
        self._done = {key: at for key, at in self._done.items() if now - at < MEMORY_SECONDS}
        self._done[posted.command_id] = now
        with call_on_every_line(self._log, posted.call_id):
            self._log.info("command received", command=type(posted.command).__name__)
        session.dispatch(posted.command)

    async def _from_table(self, job: Callable[[], T], otherwise: T) -> T:
        """Read the commands. A table that fails for a while must not end the calls."""
        try:
            return await self._threads.run(job)
        except WRITE_FAILURES as error:
            self._log.error("mailbox out of reach", reason=str(error))
            return otherwise
