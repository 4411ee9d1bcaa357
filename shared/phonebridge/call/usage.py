"""What others charge for a call: what was used of the models, and what the carrier asks for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used of the models, as they counted it. Tokens of responses, where cached counts are
    part of the input counts; and of the caller's transcription either tokens or time."""

    input_text: int = 0
    input_audio: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    output_text: int = 0
    output_audio: int = 0
    responses: int = 0
    uncounted: int = 0
    """Responses that came to an end without a count: they are in no other figure here."""
    cache_unknown: int = 0
    """Responses that did not say how much of their input was cached."""
    transcribed_input: int = 0
    transcribed_output: int = 0
    transcribed_ms: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        pairs = ((getattr(self, each), getattr(other, each)) for each in self.__slots__)
        return Usage(*(one + another for one, another in pairs))


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """One media stream's usage, and the models that it was of."""

    stream_number: int
    model: str
    transcription_model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Charge:
    """What the carrier asks for one leg (`call.cost`), in millionths of a unit of the currency."""

    leg_id: str
    micros: int
    currency: str
