"""The interfaces that the switchboard uses: the store of calls, the carrier, the mailbox of a
container, and the directory of numbers."""

from dataclasses import dataclass
from typing import Protocol

from phonebridge.call.call import Call, Leg
from phonebridge.call.commands import CarrierCommand
from phonebridge.call.config import CallConfig
from phonebridge.call.overdue import LegState
from phonebridge.call.steering import Steering
from phonebridge.errors import Conflict


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An entry of a call's timeline. A repeated `entry_id` adds nothing."""

    at_ms: int
    entry_id: str
    what: str
    detail: str = ""


class CallChanged(Conflict):
    """A write of a call's head lost a race. `current` is the head that is stored now, or None if
    there is none."""

    def __init__(self, call_id: str, version: int, current: Call | None) -> None:
        super().__init__(f"Call {call_id} is not at version {version} any more.")
        self.current = current


class CallStore(Protocol):
    """The records of calls. `save` raises `CallChanged` if another writer was faster."""

    def create(self, call: Call, config: CallConfig) -> bool:
        """Store a new call. Return False if it exists already."""

    def load(self, call_id: str) -> Call | None: ...
    def save(self, call: Call) -> None: ...
    def config(self, call_id: str) -> CallConfig | None: ...
    def add_timeline_entry(self, call_id: str, entry: TimelineEntry) -> None: ...
    def link_leg(self, leg: Leg, name: str) -> None:
        """Let `name` (as in `leg_name.py`) be found by the ids of this leg."""

    def find_by_leg(self, leg: Leg) -> str | None: ...
    def link_session(self, leg: Leg, name: str) -> None:
        """Let `name` be found by the leg's session too. This finds legs of which only the session
        is known."""

    def linked_session(self, leg: Leg) -> str | None: ...


class Carrier(Protocol):
    """Carries out the commands of calls. Raises `TelnyxError`."""

    def execute(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        """Send a command. Return the new leg if the command dialled one."""

    def look_up(self, leg: Leg) -> LegState:
        """Return whether the leg is alive."""


class Mailbox(Protocol):
    """Delivers messages to the container that carries a call."""

    def post(self, task_id: str, call_id: str, command: Steering, key: str = "") -> None:
        """Post a message. Another message with the same `key` adds nothing."""


class Directory(Protocol):
    """Maps an inbound number to the settings of the agent that answers it."""

    def answering(self, number: str) -> CallConfig | None:
        """Return the settings for calls to this number, or None if no agent answers it."""
