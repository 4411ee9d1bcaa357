"""A turn of the conversation, and the latency of its reply."""

from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Latency:
    """The time from the caller's last word to the first sound of the reply, in parts that follow
    each other (`speech/response_latency.py`)."""

    response_ms: int
    """Time from the detector's report until the response that speaks began. It includes tool
    calls."""
    model_ms: int
    """Time from the start of the response until its first sound arrived."""
    bridge_ms: int
    """Time from the arrival of the first sound until it was sent."""
    detector_ms: int | None = None
    """Time from the caller's last word to the detector's report. None if unknown."""

    @property
    def total_ms(self) -> int:
        return (self.detector_ms or 0) + self.response_ms + self.model_ms + self.bridge_ms


class Speaker(StrEnum):
    CALLER = "caller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An uninterrupted utterance of one side. Times count from the start of the media stream. If
    the turn was interrupted, `text` has the played words and `unheard` the others."""

    number: int
    who: Speaker
    text: str
    started_ms: int
    ended_ms: int
    interrupted: bool = False
    unheard: str = ""
    partial: bool = False
    """True if words may be missing, because the final transcript never came."""
    latency: Latency | None = None
    """The latency of a reply's first turn."""
    stream_number: int = 1
    """The media stream of the turn. Each stream numbers its turns from 1 on."""

    def on_stream(self, number: int) -> "Turn":
        return self if number == self.stream_number else replace(self, stream_number=number)

    @property
    def latency_ms(self) -> int | None:
        return self.latency.total_ms if self.latency else None
