"""One leg at the carrier of the drills, and what happened to it."""

from dataclasses import dataclass, field

from benchmarks.drills.media_line import Heard, MediaLine, StreamRequest
from benchmarks.drills.silence import longest_silence
from benchmarks.drills.system import Executed, LegState


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
    """The stream that the dial requested."""
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

    @property
    def has_stream(self) -> bool:
        return self.line is not None and self.line.was_open and not self.line.is_over

    @property
    def has_heard(self) -> bool:
        return bool(self.heard.times)

    def longest_silence(self, since: float, until: float) -> float:
        if self.answered_at is None:
            return 0.0
        end = until if self.ended_at is None else min(until, self.ended_at)
        return longest_silence(self.heard.times, max(since, self.answered_at), end)
