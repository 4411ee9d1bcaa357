"""Short recordings that speak for the agent when the model cannot."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpeechClip:
    """`sound` is in the codec in which we speak on the line."""

    words: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class SpeechClips:
    """What exists for a call's voice and language; None where nothing was recorded yet."""

    filler: SpeechClip | None = None
    """Asks the caller for a moment of patience."""
    apology: SpeechClip | None = None
    """The last words of a call that cannot go on."""
