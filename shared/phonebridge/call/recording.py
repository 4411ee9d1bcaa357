"""The carrier's recording of a call. A webhook announces it, and it is copied before its link
expires."""

from dataclasses import dataclass
from enum import StrEnum

LINK_SECONDS = 600
"""How long the carrier's link lives (Telnyx, `call.recording.saved`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRecording:
    """A recording that the carrier keeps for a while."""

    recording_id: str
    format: str
    channels: str
    url: str
    duration_ms: int | None = None


class RecordingState(StrEnum):
    COPYING = "copying"
    STORED = "kept"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording in the record. `key` is its place in the bucket."""

    recording_id: str
    format: str
    channels: str
    key: str
    duration_ms: int | None = None
    state: RecordingState = RecordingState.COPYING
    size_bytes: int | None = None
    problem: str = ""
