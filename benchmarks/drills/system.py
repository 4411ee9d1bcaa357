"""What a drill needs of the system it runs on, be it in virtual time or of real processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from phonebridge.call.call import Call


class LegState(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Executed:
    """A command that had an effect at the carrier."""

    name: str
    command_id: str


class Leg(Protocol):
    """One leg as the carrier knows it. Times are seconds of the system's clock."""

    @property
    def state(self) -> LegState: ...
    @property
    def began_at(self) -> float: ...
    @property
    def answered_at(self) -> float | None: ...
    @property
    def ended_at(self) -> float | None: ...
    @property
    def ended_by_us(self) -> bool: ...
    @property
    def partner(self) -> "Leg | None":
        """The target of a transfer."""

    @property
    def executed(self) -> Sequence[Executed]: ...
    @property
    def lost_webhooks(self) -> Sequence[str]:
        """Types of events that the carrier gave up to deliver."""

    @property
    def has_stream(self) -> bool: ...
    @property
    def has_heard(self) -> bool:
        """Whether the person has received any audio."""

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time without a sound from us while the leg was answered."""


class System(Protocol):
    def time(self) -> float: ...

    def expect(self, number: str, answers_after_seconds: float | None) -> None:
        """Decide when the person behind this number picks up; None leaves it to the drill."""

    def legs_to(self, number: str) -> Sequence[Leg]: ...
    def pick_up(self, leg: Leg) -> None: ...
    def hang_up(self, leg: Leg) -> None: ...

    def let_agent(self, number: str, tool: str, arguments: dict[str, str]) -> None:
        """Let the model call a tool in the conversation with this number."""

    def model_was_told(self, number: str, text: str) -> bool: ...

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Send a request to the HTTP API; the answer is status and body."""

    def record(self, call_id: str) -> Call | None:
        """Return the head of the record as it is in the table, whatever clients see."""
