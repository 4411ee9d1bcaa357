"""Short recordings that speak for the agent when the model cannot."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpeechClip:
    """`sound` is in the codec in which we speak on the line."""

    words: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class SpeechClips:
    """The clips of a voice and language. A clip is None until it was recorded."""

    filler: SpeechClip | None = None
    """Asks the caller to wait for a moment."""
    apology: SpeechClip | None = None
    """The last words of a call that cannot go on."""
