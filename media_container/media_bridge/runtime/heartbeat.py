"""Writes the heartbeats of a task in a thread of their own, so that a busy event loop does not
delay them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from aws_lambda_powertools import Logger

from media_bridge.runtime.retries import WRITE_FAILURES
from phonebridge import liveness
from phonebridge.storage.fleet import DynamoFleet, TaskState

HEARTBEAT_SECONDS = liveness.HEARTBEAT_SECONDS


class BeatOutcome(Enum):
    WRITTEN = auto()
    FAILED = auto()
    MARKED = auto()
    """Another program found the task silent, and acts on its calls."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The content of a heartbeat, and the calls that it counts for the first time."""

    state: TaskState
    claimed: int


class Heartbeat:
    """`compose` is called in the thread, with the number of the heartbeat; so is `on_beat`."""

    def __init__(
        self,
        fleet: DynamoFleet,
        compose: Callable[[int], Beat],
        on_beat: Callable[[Beat, BeatOutcome], object],
        log: Logger,
    ) -> None:
        """`fleet` has a client of its own, which gives up after a second and repeats nothing."""
        self._fleet = fleet
        self._compose = compose
        self._on_beat = on_beat
        self._log = log
        self.count = 0
        """The number of the latest heartbeat."""
        self._is_ending = threading.Event()
        self._is_awaited = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Write the next heartbeat at once."""
        self._is_awaited.set()

    def end(self) -> None:
        """Write that the task is over. This blocks for as long as two heartbeats take."""
        self._is_ending.set()
        self.hurry()
        self._thread.join()
        self._beat(is_over=True)

    def _beat(self, is_over: bool = False) -> None:
        self.count += 1
        beat = self._compose(self.count)
        if is_over:
            beat = replace(beat, state=replace(beat.state, is_over=True))
        try:
            is_written = self._fleet.beat(beat.state)
        except WRITE_FAILURES as error:
            self._log.error("heartbeat not written", reason=str(error))
            self._on_beat(beat, BeatOutcome.FAILED)
        except Exception:  # noqa: BLE001 - the border of a thread: without heartbeats, all calls end
            self._log.exception("heartbeat not written")
            self._on_beat(beat, BeatOutcome.FAILED)
        else:
            self._on_beat(beat, BeatOutcome.WRITTEN if is_written else BeatOutcome.MARKED)

    def _run(self) -> None:
        self._beat()
        while not self._is_ending.is_set():
            self._is_awaited.wait(HEARTBEAT_SECONDS)
            self._is_awaited.clear()
            if not self._is_ending.is_set():
                self._beat()
