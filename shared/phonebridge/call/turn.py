"""A turn of the conversation, and how long its answer took."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Latency:
    """From the caller's last word to the first sound of the answer that leaves for them: how long
    each in turn took (`media_bridge/latency.py`)."""

    response_ms: int
    """From the detector's word until the response began that speaks; a tool's time is in it."""
    model_ms: int
    """From there until its first sound came."""
    bridge_ms: int
    """From there until it left."""
    detector_ms: int | None = None
    """Until the detector was sure; None where that is not known and counted."""

    @property
    def total_ms(self) -> int:
        return (self.detector_ms or 0) + self.response_ms + self.model_ms + self.bridge_ms


class Speaker(StrEnum):
    CALLER = "caller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side said without a break; times count from the start of the media stream. Of a turn
    that was interrupted, `text` is what was heard and `unheard` the words that were cut off."""

    number: int
    who: Speaker
    text: str
    started_ms: int
    ended_ms: int
    interrupted: bool = False
    unheard: str = ""
    partial: bool = False
    """The words may not be all that were said: the final transcript never came."""
    latency: Latency | None = None
    """Of the first that answers the caller."""
    stream_number: int = 1
    """The media stream that carried it; each stream numbers its turns from 1 on."""

    @property
    def latency_ms(self) -> int | None:
        return self.latency.total_ms if self.latency else None
