"""The usage of the models, the activity of a media stream, and the charges of the carrier."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of the models, as they counted it. Tokens count for responses, where cached counts are
    part of the input counts. The caller's transcription has either tokens or time."""

    input_text: int = 0
    input_audio: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    output_text: int = 0
    output_audio: int = 0
    responses: int = 0
    uncounted: int = 0
    """Responses that ended without a count. They are in no other figure here."""
    cache_unknown: int = 0
    """Responses that did not report how much of their input was cached."""
    transcribed_input: int = 0
    transcribed_output: int = 0
    transcribed_ms: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        pairs = ((getattr(self, each), getattr(other, each)) for each in self.__slots__)
        return Usage(*(one + another for one, another in pairs))


@dataclass(frozen=True, slots=True)
class Activity:
    """Counters of the media plane, over a stream or over all streams of a call."""

    turns: int = 0
    interruptions: int = 0
    frames_in: int = 0
    frames_out: int = 0
    frames_lost: int = 0
    first_audio_ms: int | None = None
    turn_latency_ms: int | None = None

    def __add__(self, later: "Activity") -> "Activity":
        """Add two streams. Counters add up. The first audio is the earlier stream's. The latency is
        that of the stream with more turns."""
        first_audio_ms = self.first_audio_ms
        longer = later if later.turns > self.turns else self
        return Activity(
            turns=self.turns + later.turns,
            interruptions=self.interruptions + later.interruptions,
            frames_in=self.frames_in + later.frames_in,
            frames_out=self.frames_out + later.frames_out,
            frames_lost=self.frames_lost + later.frames_lost,
            first_audio_ms=later.first_audio_ms if first_audio_ms is None else first_audio_ms,
            turn_latency_ms=longer.turn_latency_ms,
        )


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """The figures of one media stream: its usage, its models, and its activity."""

    stream_number: int
    model: str
    transcription_model: str
    usage: Usage
    activity: Activity = field(default_factory=Activity)


@dataclass(frozen=True, slots=True)
class Charge:
    """The carrier's charge for one leg (`call.cost`), in millionths of a unit of the currency."""

    leg_id: str
    micros: int
    currency: str
