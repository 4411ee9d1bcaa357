"""What the switchboard needs of the world: where calls are kept, who carries them, the way to their
containers, and who answers."""

from dataclasses import dataclass
from typing import Protocol

from phonebridge.call.call import Call, Leg
from phonebridge.call.commands import CarrierCommand
from phonebridge.call.config import CallConfig
from phonebridge.call.overdue import LegState
from phonebridge.call.steering import Steering


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to a call; the same `entry_id` again adds nothing."""

    at_ms: int
    entry_id: str
    what: str
    detail: str = ""


class CallStore(Protocol):
    """The records of calls. `save` raises `Conflict` when another writer was faster."""

    def create(self, call: Call, config: CallConfig) -> bool:
        """False when the call exists already."""

    def load(self, call_id: str) -> Call | None: ...
    def save(self, call: Call) -> None: ...
    def config(self, call_id: str) -> CallConfig | None: ...
    def add_timeline_entry(self, call_id: str, entry: TimelineEntry) -> None: ...
    def link_leg(self, leg: Leg, name: str) -> None:
        """`name` as of `leg_name.py`."""

    def find_by_leg(self, leg: Leg) -> str | None: ...
    def link_session(self, leg: Leg, name: str) -> None:
        """Let the name stand for other legs of the same session, of which nothing is known yet."""

    def linked_session(self, leg: Leg) -> str | None: ...


class Carrier(Protocol):
    """Who carries out what a call asks for. Raises `TelnyxError`."""

    def execute(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        """The leg, when the command dialled one."""

    def look_up(self, leg: Leg) -> LegState:
        """Whether the leg is alive."""


class Mailbox(Protocol):
    """The way to the container that carries a call."""

    def post(self, task_id: str, call_id: str, command: Steering, key: str = "") -> None:
        """The same `key` again adds nothing."""


class Directory(Protocol):
    """Who answers inbound calls."""

    def answering(self, number: str) -> CallConfig | None:
        """How to speak with whoever calls this number; None if nobody answers it."""
