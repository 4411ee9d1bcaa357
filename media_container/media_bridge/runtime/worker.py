"""One media container among many: the calls it carries, its place in the fleet, its drain."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product

from media_bridge import events
from media_bridge.deadline import NEVER
from media_bridge.runtime.call_session import CallSession
from media_bridge.runtime.fleet_watch import FleetWatch
from media_bridge.runtime.heartbeat import Beat, BeatOutcome, Heartbeat
from media_bridge.runtime.mailbox_reader import MailboxReader
from media_bridge.runtime.services import Services
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.write_queue import Job, WriteQueue
from phonebridge.call.call import Call, CallStatus, EndedBy
from phonebridge.storage.fleet import DynamoFleet, TaskState

METRICS_SECONDS = 60.0
LAG_SECONDS = 1.0
MOVE_LOOK_SECONDS = 0.25
TRACES_SECONDS = 2.0
GOODBYE = (
    "The call has to end now, for reasons that have nothing to do with the caller. Say so in one "
    "short sentence, apologise, and say goodbye."
)


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """How long each step of a drain may take: less than ECS's longest stop timeout of 120 s."""

    calls_seconds: float = 95.0
    """Time for the calls to end by themselves. A drain after SIGINT skips this step."""
    goodbye_seconds: float = 15.0
    last_writes_seconds: float = 5.0
    moves_seconds: float = 60.0
    """Calls that still run so long before their goodbye move to another task, if one has room: each
    during a pause of its conversation."""
    forced_moves_seconds: float = 15.0
    """Calls that still run so long before their goodbye move, pause or not."""


DRAIN_TIMES = DrainTimes()


def new_task_id() -> str:
    """ECS may restart a container under the name of its task. Such a process is another task."""
    return f"task-{uuid.uuid4()}"


class MediaWorker:
    def __init__(
        self,
        task_id: str,
        services: Services,
        mailbox: MailboxReader,
        fleet: DynamoFleet,
        heartbeats: DynamoFleet,
        drain_times: DrainTimes = DRAIN_TIMES,
    ) -> None:
        """`heartbeats` is the fleet by a client of its own."""
        self.task_id = task_id
        self.drain_times = drain_times
        self.services = services
        self._mailbox = mailbox
        self._fleet = fleet
        self._slots = services.settings.max_calls_per_task
        self._sessions: dict[str, CallSession] = {}
        self._taken: Counter[str] = Counter()
        self._list_version = self._written_version = 0
        self._draining = False
        self._claimed: list[Call] = []
        self._heartbeat = Heartbeat(heartbeats, self._compose_beat, self._report_beat, services.log)
        self._watch = FleetWatch(heartbeats, services.log, lambda: self.task_id, self._bury)
        services.rescues.has_room = lambda: self.has_room or self._watch.others_have_room
        services.pulse.on_doubt = self._verify_calls
        self._doubted_count = 0
        self._writes = WriteQueue(services.log, Threads("task", 1), services.pauses)
        self._burials = WriteQueue(services.log, Threads("burial", 1), services.pauses)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._farewell: tuple[events.BridgeEvent, ...] = ()
        self._drain_timeout: asyncio.Timeout | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def has_room(self) -> bool:
        return not self._draining and self._active_calls < self._slots

    @property
    def _active_calls(self) -> int:
        return self._taken.total()

    def take_slot(self, call_id: str) -> None:
        """Take a call's place from its token to its last write. It is listed before it is claimed,
        so a claimed call that is missing from the list is really missing."""
        self._taken[call_id] += 1
        self._idle.clear()
        self._update_list()

    def free_slot(self, call_id: str) -> None:
        self._taken[call_id] -= 1
        if not self._taken[call_id]:
            del self._taken[call_id]
        self._update_list()
        if not self._taken:
            self._idle.set()

    def carries(self, call_id: str, stream_number: int = 1) -> bool:
        """Whether the call has this stream here, or a later one. A call whose last writes are still
        under way is not carried any more: the carrier may already open another stream."""
        session = self._sessions.get(call_id)
        if session is None or session.has_left:
            return False
        return session.stream_number >= stream_number

    def end_earlier_session(self, call_id: str) -> None:
        """Another stream of the call was claimed here."""
        if session := self._sessions.get(call_id):
            session.give_way()

    async def run_session(self, call: Call, session: CallSession) -> None:
        self._sessions[call.call_id] = session
        self._claimed.append(call)
        for event in self._farewell:
            session.dispatch(event)
        try:
            await session.run()
        finally:
            if self._sessions.get(call.call_id) is session:
                del self._sessions[call.call_id]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Beat, watch the others, read the mailbox and measure, as long as the server runs."""
        self._loop = asyncio.get_running_loop()
        jobs = (
            self._writes.write(),
            self._burials.write(),
            self._watch.run(),
            self.services.rescues.run(),
            self._mailbox.run(lambda: self.task_id, lambda: self._sessions),
            self.services.turn_writer.write(),
            self._watch_loop(),
            self._publish_metrics(),
            self._export_traces(),
        )
        self._update_list()
        self._burials.add(Job(self._find_waiting_calls))
        self._heartbeat.start()
        try:
            async with asyncio.TaskGroup() as background:
                tasks = [background.create_task(job) for job in jobs]
                yield
                self._print_metrics()
                for task in tasks:
                    task.cancel()
        finally:
            self._mailbox.close()
            await asyncio.to_thread(self._heartbeat.end)
        await asyncio.to_thread(self.services.tracer.flush)

    async def drain(self, timeout_seconds: float) -> None:
        """Take no more calls, and wait for the last one. Calls that last longer move to another
        task. Without one, they end with a goodbye. Those that outlast it are left, once what is
        known of them is written."""
        self._draining = True
        self.services.log.info("draining", active_calls=self._active_calls)
        self.services.pauses.shorten()
        if await self._is_idle_or_moved_within(timeout_seconds):
            return
        self._broadcast(events.HangUpRequested(EndedBy.SHUTDOWN, instructions=GOODBYE))
        if await self._is_idle_within(self.drain_times.goodbye_seconds):
            return
        self._broadcast(events.HangUpRequested(EndedBy.SHUTDOWN), events.LeaveRequested())
        if not await self._is_idle_within(self.drain_times.last_writes_seconds):
            self.services.log.error("calls left unwritten", active_calls=self._active_calls)

    def cut_drain_short(self, timeout_seconds: float = 0.0) -> None:
        """Wait at most so long for what a drain waits for now."""
        if self._drain_timeout:
            end_at = asyncio.get_running_loop().time() + timeout_seconds
            self._drain_timeout.reschedule(min(end_at, self._drain_timeout.when() or end_at))

    def _broadcast(self, *farewell: events.BridgeEvent) -> None:
        """Send events to every call, including those whose session is about to begin."""
        self.services.log.info("ending calls", active_calls=self._active_calls)
        self._farewell = farewell
        for session, event in product(self._sessions.values(), farewell):
            session.dispatch(event)

    async def _is_idle_or_moved_within(self, seconds: float) -> bool:
        async with asyncio.TaskGroup() as tasks:
            moving = tasks.create_task(self._move_calls())
            is_idle = await self._is_idle_within(seconds)
            moving.cancel()
        return is_idle

    async def _move_calls(self) -> None:
        """Move calls while the task waits for them to end."""
        while True:
            await asyncio.sleep(MOVE_LOOK_SECONDS)
            left = self._seconds_left()
            is_forced = left <= self.drain_times.forced_moves_seconds
            if left > self.drain_times.moves_seconds or not self._watch.others_have_room:
                continue
            for session in list(self._sessions.values()):
                if session.can_move and (is_forced or session.waits_for_caller):
                    session.move()

    def _seconds_left(self) -> float:
        end_at = self._drain_timeout.when() if self._drain_timeout else None
        return NEVER if end_at is None else end_at - asyncio.get_running_loop().time()

    async def _is_idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds) as self._drain_timeout:
                await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._drain_timeout = None
        return True

    # The fleet.

    def _compose_beat(self, count: int) -> Beat:
        """Compose a heartbeat, in its thread."""
        # The list is read first: what it announces is in the table's list, or on its way.
        version, claimed = self._list_version, len(self._claimed)
        state = TaskState(
            self.task_id, count, self._slots, self._active_calls, self._draining, version
        )
        return Beat(state, claimed)

    def _report_beat(self, beat: Beat, outcome: BeatOutcome) -> None:
        """Pass the outcome to the event loop. This runs in the thread of the heartbeat."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._on_beat, beat, outcome)

    def _on_beat(self, beat: Beat, outcome: BeatOutcome) -> None:
        """A call gives back its reservation once a written heartbeat counts it."""
        match outcome:
            case BeatOutcome.WRITTEN:
                self._trust_calls(beat)
                for call in self._claimed[: beat.claimed]:
                    self._writes.add(Job(partial(self._fleet.release, call)))
                del self._claimed[: beat.claimed]
            case BeatOutcome.FAILED:
                self._watch.start_over()
            case BeatOutcome.MARKED if beat.state.task_id == self.task_id:
                self._begin_anew()

    def _begin_anew(self) -> None:
        """Others believe that this task is dead, and act on its calls: leave them at once."""
        self.services.log.error("task was marked as silent", active_calls=self._active_calls)
        for session in list(self._sessions.values()):
            session.abandon()
        self.task_id = new_task_id()
        self._claimed.clear()
        self._mailbox.renew()
        self._update_list()
        self.services.pulse.trust(asyncio.get_running_loop().time())

    def _verify_calls(self) -> None:
        """Write a heartbeat at once, because the process may have been frozen. Its result shows
        whether the task still owns its calls."""
        self.services.log.warning("process was frozen", active_calls=self._active_calls)
        self._doubted_count = self._heartbeat.count
        self._heartbeat.hurry()

    def _trust_calls(self, beat: Beat) -> None:
        """A heartbeat that was composed before the doubt proves nothing."""
        if self.services.pulse.is_doubtful and beat.state.version > self._doubted_count:
            self.services.pulse.trust(asyncio.get_running_loop().time())
            for session in list(self._sessions.values()):
                session.handle_held()

    def _update_list(self) -> None:
        self._list_version += 1
        self._writes.add(Job(self._write_list))

    def _write_list(self) -> None:
        """Write the list of calls, in a thread. One write covers all changes before it."""
        version = self._list_version  # before the calls: they may become more meanwhile
        if version > self._written_version:
            self._fleet.list_calls(self.task_id, version, list(self._taken))
            self._written_version = version

    def _bury(self, task_id: str) -> None:
        """This task has marked another one, and takes over its calls."""
        self._burials.add(Job(partial(self._find_calls_of, task_id)))

    def _find_calls_of(self, task_id: str) -> None:
        """Find the calls of a task, in a thread, and those that it may have been about to claim. A
        rescue leaves a call alone that another task claims."""
        unclaimed = CallStatus.ANSWERED
        calls = self._possibly_live()
        self._take_over(c for c in calls if c.owner_task == task_id or c.status is unclaimed)

    def _find_waiting_calls(self) -> None:
        """Find calls without a task, in a thread. They wait if there was none when theirs died."""
        self._take_over(call for call in self._possibly_live() if call.is_parked)

    def _possibly_live(self) -> Iterator[Call]:
        over = (CallStatus.TRANSFERRED, CallStatus.ENDED)
        return (c for c in self.services.store.possibly_live() if c.status not in over)

    def _take_over(self, calls: Iterable[Call]) -> None:
        """Start the rescue of phone calls, in a thread."""
        assert self._loop is not None
        for call in calls:
            if not call.is_browser_call:  # its browser opens the next stream
                self._loop.call_soon_threadsafe(self._rescue, call)

    def _rescue(self, call: Call) -> None:
        self.services.log.warning("call is taken over", call_id=call.call_id)
        self.services.metrics.call_taken_over()
        self.services.rescues.start(call.call_id, call.attached_stream)

    # The metrics.

    async def _watch_loop(self) -> None:
        """How much later than it was due does a callback come? It is late for every call alike."""
        now = asyncio.get_running_loop().time
        while True:
            due = now() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.services.metrics.loop_lagged(now() - due)
            self.services.pulse.beat(now())

    async def _publish_metrics(self) -> None:
        while True:
            self._print_metrics()
            await asyncio.sleep(METRICS_SECONDS)

    async def _export_traces(self) -> None:
        while self.services.tracer.is_on:
            await asyncio.sleep(TRACES_SECONDS)
            await asyncio.to_thread(self.services.tracer.flush)

    def _print_metrics(self) -> None:
        self.services.metrics.publish(self._active_calls, self._slots)
