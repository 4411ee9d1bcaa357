"""One media container among many: the calls it carries, its heartbeat, its mailbox, its drain."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from media_bridge import events
from media_bridge.runtime.call_session import CallSession, Services
from media_bridge.runtime.mailbox_poll import MailboxPoll
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.write_queue import WriteQueue
from phonebridge.call.call import Call, EndedBy
from phonebridge.errors import PhonebridgeError
from phonebridge.observability.log import call_on_every_line
from phonebridge.storage.fleet import DynamoFleet, TaskState
from phonebridge.storage.mailbox import DynamoMailbox, Posted

T = TypeVar("T")

HEARTBEAT_SECONDS = 10.0
BEAT_PAUSE_SECONDS = 1.0
"""Between two heartbeats, however much changes, and after one that failed."""
MAILBOX_SECONDS = 0.15
"""A poll takes half a read unit, and whoever steers a call waits for half of this on average."""
METRICS_SECONDS = 60.0
LAG_SECONDS = 1.0
TRACES_SECONDS = 2.0
GOODBYE = (
    "The call has to end now, for reasons that have nothing to do with the caller. Say so in one "
    "short sentence, apologise, and say goodbye."
)


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """How long each step of a drain may take: less than ECS's longest stop timeout of 120 s."""

    calls_seconds: float = 95.0
    """For the calls to end by themselves. A drain that SIGINT asks for skips this step."""
    goodbye_seconds: float = 15.0
    last_writes_seconds: float = 5.0


DRAIN_TIMES = DrainTimes()


class MediaWorker:
    def __init__(
        self,
        task_id: str,
        services: Services,
        mailbox: DynamoMailbox,
        fleet: DynamoFleet,
        poll: MailboxPoll,
        drain_times: DrainTimes = DRAIN_TIMES,
    ) -> None:
        self.task_id = task_id
        self.drain_times = drain_times
        self.services = services
        self._mailbox = mailbox
        self._fleet = fleet
        self._poll = poll
        self._slots = services.settings.max_calls_per_task
        self._sessions: dict[str, CallSession] = {}
        self._taken = 0
        self._draining = False
        self._claimed: list[Call] = []
        self._heartbeats = Threads("heartbeat", 1)
        self._mail = Threads("mailbox", 1)
        self._reservations = WriteQueue(services.log, Threads("reservations", 1))
        self._changed = asyncio.Event()
        self._farewell: tuple[events.BridgeEvent, ...] = ()
        self._drain_timeout: asyncio.Timeout | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def has_room(self) -> bool:
        return not self._draining and self._taken < self._slots

    def take_slot(self) -> None:
        """One call's place, from its upgrade to its last write."""
        self._taken += 1
        self._idle.clear()
        self._changed.set()

    def free_slot(self) -> None:
        self._taken -= 1
        self._changed.set()
        if not self._taken:
            self._idle.set()

    def carries(self, call_id: str) -> bool:
        """Whose last writes are still under way is carried no more: its carrier may already have
        been told to open another stream."""
        session = self._sessions.get(call_id)
        return session is not None and not session.has_left

    async def run_session(self, call: Call, session: CallSession) -> None:
        self._sessions[call.call_id] = session
        self._claimed.append(call)
        self._changed.set()
        for event in self._farewell:
            session.dispatch(event)
        try:
            await session.run()
        finally:
            if self._sessions.get(call.call_id) is session:
                del self._sessions[call.call_id]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Beat, read the mailbox and measure, as long as the server runs."""
        jobs = (
            self._beat(),
            self._reservations.write(),
            self._poll_mailbox(),
            self.services.turn_writer.write(),
            self._watch_loop(),
            self._publish_metrics(),
            self._export_traces(),
        )
        async with asyncio.TaskGroup() as background:
            tasks = [background.create_task(job) for job in jobs]
            yield
            self._print_metrics()
            for task in tasks:
                task.cancel()
        self._poll.close()
        await self._send_heartbeat()
        await asyncio.to_thread(self.services.tracer.flush)

    async def drain(self, timeout_seconds: float) -> None:
        """Take no more calls and wait for the last; end those that outlast the patience, and leave
        those that outlast their goodbye, once what is known of them is written."""
        self._draining = True
        self._changed.set()
        self.services.log.info("draining", active_calls=self._taken)
        if await self._is_idle_within(timeout_seconds):
            return
        self._broadcast(events.HangUpRequested(EndedBy.SHUTDOWN, instructions=GOODBYE))
        if await self._is_idle_within(self.drain_times.goodbye_seconds):
            return
        self._broadcast(events.HangUpRequested(EndedBy.SHUTDOWN), events.LeaveRequested())
        if not await self._is_idle_within(self.drain_times.last_writes_seconds):
            self.services.log.error("calls left unwritten", active_calls=self._taken)

    def cut_drain_short(self, timeout_seconds: float = 0.0) -> None:
        """Wait at most so long for what a drain waits for now."""
        if self._drain_timeout:
            end_at = asyncio.get_running_loop().time() + timeout_seconds
            self._drain_timeout.reschedule(min(end_at, self._drain_timeout.when() or end_at))

    def _broadcast(self, *farewell: events.BridgeEvent) -> None:
        """To every call, those included whose session is about to begin."""
        self.services.log.info("ending calls", active_calls=self._taken)
        self._farewell = farewell
        for session, event in product(self._sessions.values(), farewell):
            session.dispatch(event)

    async def _is_idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds) as self._drain_timeout:
                await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._drain_timeout = None
        return True

    async def _beat(self) -> None:
        while True:
            self._changed.clear()
            if not await self._send_heartbeat():
                self._changed.set()
            await asyncio.sleep(BEAT_PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS - BEAT_PAUSE_SECONDS):
                    await self._changed.wait()

    async def _send_heartbeat(self) -> bool:
        """False if it could not be written. Releases the reservation of each call that a written
        heartbeat counts: a release that fails costs a place until the reservation expires."""
        now_ms = self.services.now_ms()
        state = TaskState(self.task_id, self._slots, self._taken, self._draining, now_ms)
        counted = len(self._claimed)
        if not await self._from_store(
            self._heartbeats, partial(self._write_heartbeat, state), False
        ):
            return False
        for call in self._claimed[:counted]:
            self._reservations.add(partial(self._fleet.release, call))
        del self._claimed[:counted]
        return True

    def _write_heartbeat(self, state: TaskState) -> bool:
        self._fleet.beat(state)
        return True

    async def _watch_loop(self) -> None:
        """How much later than it was due does a callback come? It is late for every call alike."""
        now = asyncio.get_running_loop().time
        while True:
            due = now() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.services.metrics.loop_lagged(now() - due)

    async def _publish_metrics(self) -> None:
        while True:
            self._print_metrics()
            await asyncio.sleep(METRICS_SECONDS)

    async def _export_traces(self) -> None:
        while self.services.tracer.is_on:
            await asyncio.sleep(TRACES_SECONDS)
            await asyncio.to_thread(self.services.tracer.flush)

    def _print_metrics(self) -> None:
        self.services.metrics.publish(self._taken, self._slots)

    async def _poll_mailbox(self) -> None:
        while True:
            await asyncio.sleep(MAILBOX_SECONDS)
            if self._sessions and not await self._poll.is_empty():
                nothing: list[Posted] = []
                for posted in await self._from_store(self._mail, self._collect, nothing):
                    await self._deliver(posted)

    def _collect(self) -> list[Posted]:
        return self._mailbox.collect(self.task_id)

    async def _deliver(self, posted: Posted) -> None:
        session = self._sessions.get(posted.call_id)
        if session is None:
            return  # over, or about to begin: the command waits for it until it expires
        # Acknowledged first: a command is carried out once, or not at all.
        acknowledge = partial(self._mailbox.acknowledge, self.task_id, posted)
        if await self._from_store(self._mail, acknowledge, False):
            with call_on_every_line(self.services.log, posted.call_id):
                self.services.log.info("command received", command=type(posted.command).__name__)
            session.dispatch(posted.command)

    async def _from_store(self, threads: Threads, job: Callable[[], T], otherwise: T) -> T:
        """A store that fails for a while must not end the calls."""
        try:
            return await threads.run(job)
        except (PhonebridgeError, BotoCoreError, ClientError) as error:
            self.services.log.error("store unreachable", reason=str(error))
            return otherwise
