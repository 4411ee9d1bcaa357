"""One leg at the carrier of the drills, and what happened to it."""

from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.drills.media_line import Heard, MediaLine, StreamRequest


class LegState(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Executed:
    """A command that had an effect."""

    name: str
    command_id: str
    at: float
    stream_url: str = ""


@dataclass(slots=True, eq=False)
class PhoneLeg:
    number: int
    to: str
    from_: str
    session_id: str
    began_at: float
    client_state: str
    is_incoming: bool = False
    stream: StreamRequest | None = None
    """Asked for with the dial."""
    retries_ms: dict[str, list[int]] = field(default_factory=dict)
    state: LegState = LegState.RINGING
    answered_at: float | None = None
    ended_at: float | None = None
    ended_by_us: bool = False
    partner: "PhoneLeg | None" = None
    line: MediaLine | None = None
    lines_opened: int = 0
    heard: Heard = field(default_factory=Heard)
    executed: list[Executed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lost_webhooks: list[str] = field(default_factory=list)

    @property
    def control_id(self) -> str:
        return f"v3:leg-{self.number}"

    @property
    def leg_id(self) -> str:
        return f"leg-{self.number}"

    @property
    def is_up(self) -> bool:
        return self.state is not LegState.ENDED

    def longest_silence(self, since: float, until: float) -> float:
        """The longest time without a sound from us while the leg was answered."""
        if self.answered_at is None:
            return 0.0
        begin = max(since, self.answered_at)
        end = min(until, self.ended_at if self.ended_at is not None else until)
        longest = 0.0
        for began, ended in self.heard.times:
            if ended > begin:
                longest = max(longest, min(began, end) - begin)
                begin = max(begin, ended)
        return max(longest, end - begin)
