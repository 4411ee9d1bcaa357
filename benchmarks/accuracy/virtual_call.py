"""Whole conversations in virtual time: a bridge, a model that sends faster than real time, and a
carrier that plays frame by frame, with network delays between them.

The carrier counts how much of each item it really played. This can then be compared with the
truncation that the model received.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np

from media_bridge import commands, events
from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand
from phonebridge.call.call import Call, Direction
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Interrupt
from phonebridge.call.usage import Usage
from phonebridge.settings import ModelAudio
from simulators.telnyx.playout import PlayoutQueue

CALL = Call(
    call_id="call-1",
    direction=Direction.OUTBOUND,
    to="+15550100",
    from_="+15550101",
    created_at_ms=0,
)
BEGINNING = (
    events.StreamStarted("leg-1", "call-1", "PCMU", 8000),
    events.ModelConnected(),
    events.ModelReady(),
)
FRAME_SECONDS = 0.02
SECONDS_BETWEEN_STALLS = 5.0
THINKING_SECONDS = 0.3
CALLER_SPEAKS_SECONDS = 0.5
LATE_DELTAS_SECONDS = 0.01
"""Seconds from the caller's first word until the model stops sending."""
MAX_DELTA_MS = 400
BYTES_PER_MS = 8
SILENCE = 0xFF


@dataclass(frozen=True, slots=True)
class Network:
    """One direction of a network. Messages arrive in the order in which they were sent, as with
    TCP."""

    delay_ms: float = 40.0
    jitter_ms: float = 0.0
    stall_ms: float = 0.0
    """Length of the occasional stalls in which nothing arrives."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response of the model, and when the caller interrupts it."""

    items_ms: tuple[int, ...]
    burst: float = 8.0
    """Speed of generation, relative to real time."""
    interrupted_after_ms: int | None = None
    """Time of the interruption, counted from the first audio at the bridge."""
    by_api: bool = False
    ends_late: bool = False
    """True if the model reports the end of an item only after the next one has begun."""


@dataclass(frozen=True, slots=True)
class Line:
    to_carrier: Network = Network()
    from_carrier: Network = Network()
    starts_late_ms: float = 0.0
    """How long the carrier waits before it plays the first audio after a silence."""
    gives_marks_back: bool = True
    stalls_loop_ms: float = 0.0
    """Length of the occasional stalls of our own process."""


@dataclass(slots=True)
class ItemHistory:
    sent_ms: float = 0.0
    """Audio that the model has sent."""
    told_ms: int | None = None
    """The length to which the bridge truncated the item."""
    heard_ms: float = 0.0


class Pipe:
    """Delivers messages in order, each after a delay."""

    def __init__(self, world: "VirtualCall", network: Network) -> None:
        self._world = world
        self._network = network
        self._last = 0.0
        self._stalled_until = 0.0
        self._next_stall = world.pause()

    def send(self, arrive: Callable[[], None]) -> None:
        now, network = self._world.now, self._network
        if network.stall_ms and now >= self._next_stall:
            self._stalled_until = now + network.stall_ms / 1000
            self._next_stall = self._stalled_until + self._world.pause()
        delay = network.delay_ms + self._world.luck.uniform(0, network.jitter_ms)
        self._last = max(self._last, self._stalled_until, now + delay / 1000)
        self._world.at(self._last, arrive)


class Carrier:
    def __init__(self, world: "VirtualCall", line: Line) -> None:
        self._world = world
        self._line = line
        self._playout = PlayoutQueue()
        self._back = Pipe(world, line.from_carrier)
        self._late_until: float | None = None
        self._held: list[Callable[[], None]] = []
        self._quiet = True
        self.heard: Counter[int] = Counter()

    def start(self) -> None:
        self._world.at(self._world.luck.uniform(0, FRAME_SECONDS), self._tick)

    def receive(self, command: BridgeCommand) -> None:
        match command:
            case commands.PlayAudio(payload):
                codes = np.frombuffer(payload, np.uint8)
                samples = np.where(codes == SILENCE, 0, codes).astype(np.int16)
                self._start_late()
                self._sooner_or_later(lambda: self._playout.add(samples))
            case commands.MarkPlayback(name):
                self._sooner_or_later(lambda: self._give_back(self._playout.mark(name)))
            case commands.ClearPlayback():
                self._release()
                self._give_back(self._playout.clear())
                self._world.cleared(self.heard)

    def _start_late(self) -> None:
        if self._quiet and self._late_until is None and self._line.starts_late_ms:
            self._late_until = self._world.now + self._line.starts_late_ms / 1000

    def _sooner_or_later(self, act: Callable[[], None]) -> None:
        if self._late_until is None:
            act()
        else:
            self._held.append(act)

    def _release(self) -> None:
        held, self._held, self._late_until = self._held, [], None
        for act in held:
            act()

    def _tick(self) -> None:
        if self._late_until is not None and self._world.now >= self._late_until:
            self._release()
        samples, marks = self._playout.play()
        codes, counts = np.unique(samples, return_counts=True)
        self.heard.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        self._quiet = not samples.any()
        self._give_back(marks)
        self._world.at(self._world.now + FRAME_SECONDS, self._tick)

    def _give_back(self, names: list[str]) -> None:
        if self._line.gives_marks_back:
            for name in names:
                self._back.send(partial(self._world.tell, events.MarkReturned(name)))


class VirtualCall:
    """Plays conversations. `run` plays one response after the other, and `histories` then describes
    every item."""

    def __init__(self, line: Line, answers: tuple[Answer, ...], seed: int) -> None:
        self.luck = Random(seed)
        self.now = 0.0
        self.histories: dict[str, ItemHistory] = {}
        self.errors_ms: list[float] = []
        """Errors of all items that were not played completely: the position that the model knows,
        minus the real one."""
        self._line = line
        self._bridge = Bridge(CALL, CallConfig(), ModelAudio.G711, now=0.0)
        self._carrier = Carrier(self, line)
        self._forth = Pipe(self, line.to_carrier)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._answers = iter(enumerate(answers))
        self._cancelled: set[str] = set()
        self._wakes_at = float("inf")
        self._busy_until = 0.0
        self._next_stall = self.pause()
        self._code_of: dict[str, int] = {}
        self._unsettled: dict[str, ItemHistory] = {}
        self._over = False

    def run(self) -> None:
        self._carrier.start()
        for event in BEGINNING:
            self.tell(event)
        while self._agenda and not self._over:
            self.now, _, happen = heapq.heappop(self._agenda)
            happen()
        self.cleared(self._carrier.heard)

    def pause(self) -> float:
        return self.luck.expovariate(1 / SECONDS_BETWEEN_STALLS)

    def at(self, time: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time, next(self._order), happen))

    def tell(self, event: events.BridgeEvent) -> None:
        """Pass an event to the bridge as soon as its process is not busy."""
        if self._line.stalls_loop_ms and self.now >= self._next_stall:
            self._busy_until = self.now + self._line.stalls_loop_ms / 1000
            self._next_stall = self._busy_until + self.pause()
        if self.now < self._busy_until:
            self.at(self._busy_until, lambda: self.tell(event))
            return
        for command in self._bridge.handle(event, self.now):
            self._carry_out(command)
        deadline = self._bridge.next_deadline()
        if deadline is not None and deadline < self._wakes_at:
            self._wakes_at = deadline
            self.at(deadline, self._wake)

    def _wake(self) -> None:
        if self.now >= self._wakes_at:
            self._wakes_at = float("inf")
            self.tell(events.DeadlinePassed())

    def _carry_out(self, command: BridgeCommand) -> None:
        match command:
            case commands.PlayAudio() | commands.MarkPlayback() | commands.ClearPlayback():
                self._forth.send(lambda: self._carrier.receive(command))
            case commands.CreateResponse():
                self.at(self.now + THINKING_SECONDS, self._answer)
            case commands.TruncateItem(item_id, _, audio_end_ms):
                history = self.histories[item_id]
                assert audio_end_ms <= history.sent_ms, "the model would refuse this"
                assert history.told_ms is None, "an item is cut once"
                history.told_ms = audio_end_ms
            case commands.FailCall() | commands.EndCall() | commands.LeaveStream():
                raise AssertionError(command)
            case _:
                pass

    def cleared(self, heard: Counter[int]) -> None:
        """Compare all items sent so far: after a clear, the caller hears no more of them."""
        for item_id, history in list(self._unsettled.items()):
            history.heard_ms = heard[self._code_of[item_id]] / BYTES_PER_MS
            believed = history.sent_ms if history.told_ms is None else history.told_ms
            if history.told_ms is not None or believed != history.heard_ms:
                self.errors_ms.append(believed - history.heard_ms)
        self._unsettled.clear()

    # The model.

    def _answer(self) -> None:
        number, answer = next(self._answers, (0, None))
        if answer is None:
            self._over = True
            return
        response = f"resp-{number}"
        self.tell(events.ResponseStarted(response))
        for time, event in self._generate(response, answer):
            self.at(time, partial(self._send, response, event))
        whole_ms = sum(answer.items_ms)
        if answer.interrupted_after_ms is None:
            self.at(self.now + whole_ms / 1000 + 2.5, self._caller_speaks)
        else:
            self.at(
                self.now + answer.interrupted_after_ms / 1000,
                lambda: self._interrupt(response, answer.by_api),
            )

    def _generate(self, response: str, answer: Answer) -> Iterator[tuple[float, events.ModelEvent]]:
        time = self.now
        unfinished: list[str] = []
        for ms in answer.items_ms:
            item = f"item-{len(self._code_of) + 1}"
            code = self._code_of[item] = len(self._code_of) + 1
            left = ms * BYTES_PER_MS
            while left:
                size = min(left, self.luck.randint(1, MAX_DELTA_MS * BYTES_PER_MS))
                left -= size
                yield time, events.AudioReceived(response, item, 0, bytes([code]) * size)
                for item_id in unfinished:
                    yield time, events.AudioFinished(item_id)
                unfinished = []
                time += size / BYTES_PER_MS / 1000 / answer.burst
            unfinished.append(item)
            if not answer.ends_late:
                yield time, events.AudioFinished(item)
                unfinished = []
        yield time, events.ResponseEnded(response, "completed", "", Usage())

    def _send(self, response: str, event: events.ModelEvent) -> None:
        if response in self._cancelled:
            return
        if isinstance(event, events.AudioReceived):
            history = self.histories.setdefault(event.item_id, ItemHistory())
            self._unsettled.setdefault(event.item_id, history)
            history.sent_ms += len(event.audio) / BYTES_PER_MS
        if isinstance(event, events.ResponseEnded):
            self._cancelled.add(response)
        self.tell(event)

    def _interrupt(self, response: str, by_api: bool) -> None:
        if by_api:
            self.tell(Interrupt())
        # The model sends a few more deltas before it stops.
        self.at(self.now + LATE_DELTAS_SECONDS, lambda: self._cancel(response))
        self._caller_speaks()

    def _cancel(self, response: str) -> None:
        if response not in self._cancelled:
            self._cancelled.add(response)
            self.tell(events.ResponseEnded(response, "cancelled", "turn_detected", Usage()))

    def _caller_speaks(self) -> None:
        item = f"user-{next(self._order)}"
        self.tell(events.CallerSpeechStarted(item))
        silence = self.now + CALLER_SPEAKS_SECONDS
        self.at(silence, lambda: self.tell(events.CallerSpeechStopped(item)))
        self.at(silence + THINKING_SECONDS, self._answer)
