"""The switches: each disables one mechanism that keeps calls alive or records right. A test shows
that the drills report losses then, so that a drill which finds nothing has looked.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import Any, NoReturn

from aws.stack import CONTAINER
from control_plane import sweeping
from control_plane.task_sweep import TaskSweep
from media_bridge.runtime import server, turn_writer, write_queue
from media_bridge.runtime.fleet_watch import FleetWatch
from media_bridge.runtime.hangups import Hangups
from media_bridge.runtime.rescues import Rescues
from phonebridge import switchboard
from phonebridge.call import lifecycle
from phonebridge.call.call import Call, CallStatus
from phonebridge.call.commands import CallCommand
from phonebridge.errors import TelnyxUnreachable
from phonebridge.storage.fleet import TaskState
from phonebridge.telnyx.client import TelnyxClient


class Mechanism(StrEnum):
    NONE = "nothing is disabled"
    WRITE_QUEUE = "the container writes what it owes until it is written"
    HANGUP_AT_ONCE = "the container hangs up although the table is away"
    OWED_COMMANDS = "commands that nothing confirms are sent again"
    ASK_CARRIER = "the carrier is asked before a silent call is ended"
    SECOND_LOOK = "the sweep looks again before it believes that a task is dead"
    FLEET_WATCH = "each task finds the others that are silent"
    CLAIM_RETRY = "a claim whose answer got lost is tried again"
    NEXT_STREAM = "a call that loses its media stream gets the next one"

    @property
    def container(self) -> tuple[str, ...]:
        """The program of the media container, which has a process of its own in some drills."""
        is_disabled = self is Mechanism.NEXT_STREAM
        return ("-m", "benchmarks.drills.media_without_rescue") if is_disabled else CONTAINER

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Disable this mechanism and no other."""
        with ExitStack() as stack:
            for owner, name, part in _PARTS[self]:
                stack.enter_context(replaced(owner, name, part))
            yield


@contextmanager
def replaced(owner: Any, name: str, part: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, part)
    try:
        yield
    finally:
        setattr(owner, name, before)


async def _never_hang_up(self: Hangups, *_: object) -> None:
    pass


def _owe_nothing(*_: object, **__: object) -> tuple[CallCommand, ...]:
    return ()


def _say_nothing(self: TelnyxClient, *_: object) -> NoReturn:
    raise TelnyxUnreachable("Telnyx is not asked in this drill.")


def _believe_first_look(self: TaskSweep, suspects: frozenset[str]) -> dict[str, TaskState | None]:
    tasks = self._tasks()
    return {task_id: tasks.get(task_id) for task_id in suspects}


async def _mark_nobody(self: FleetWatch, *_: object) -> None:
    pass


def _rescue_nobody(self: Rescues, *_: object) -> None:
    pass


def _never_replace(call: Call) -> int:
    is_up = call.status in (CallStatus.ANSWERED, CallStatus.STREAMING)
    return 1 if is_up else call.stream_number


_PARTS: Mapping[Mechanism, tuple[tuple[Any, str, Any], ...]] = {
    Mechanism.NONE: (),
    Mechanism.WRITE_QUEUE: (
        (write_queue, "is_passing", lambda error: False),
        (turn_writer, "is_passing", lambda error: False),
    ),
    Mechanism.HANGUP_AT_ONCE: ((Hangups, "ensure", _never_hang_up),),
    Mechanism.OWED_COMMANDS: (
        (switchboard, "owed_commands", _owe_nothing),
        (sweeping, "owed_commands", _owe_nothing),
    ),
    Mechanism.ASK_CARRIER: ((TelnyxClient, "look_up", _say_nothing),),
    Mechanism.SECOND_LOOK: ((TaskSweep, "_watch_closely", _believe_first_look),),
    Mechanism.FLEET_WATCH: ((FleetWatch, "_mark", _mark_nobody),),
    Mechanism.CLAIM_RETRY: ((server, "CLAIM_SECONDS", 0.0),),
    Mechanism.NEXT_STREAM: (
        (lifecycle, "stream_needed", _never_replace),
        (Rescues, "start", _rescue_nobody),
    ),
}
