"""What a run measures, as it is stored in results.json."""

import math
from collections.abc import Sequence

from msgspec import Struct

from phonebridge.settings import ModelAudio


class Delays(Struct, frozen=True):
    """Milliseconds; None without a sample."""

    count: int
    p50: float | None
    p99: float | None
    p999: float | None
    max: float | None


class Ticket(Struct, frozen=True):
    """What opens the media socket of one call."""

    call_id: str
    token: str


class Job(Struct, frozen=True):
    """What the load generator is to do, from run.py."""

    pid: int
    """The target's process, whose CPU and memory are measured."""
    media_url: str
    """ws://host:port/path, to which a call's id is added."""
    model_port: int
    audio: ModelAudio
    seconds: float
    tickets: list[Ticket]
    certificate: str | None = None
    """PEM file with key and certificate of the simulated model; None: no TLS."""


class Figures(Struct, frozen=True, kw_only=True):
    """One run: what the generator saw over the steady window, and what the target used."""

    calls: int
    seconds: float
    cpu_per_call_minute: float
    mb_per_call: float
    mb_idle: float
    to_model: Delays
    filter_ms: float | None
    """Part of `to_model` that stands in the audio itself, not in its arrival."""
    to_phone: Delays
    barge_in: Delays
    lost_ms_per_minute: float
    """Of the callers' audio."""
    unheard_probes: int
    missing_ms: float
    """Of answers that nobody interrupted."""
    late_chunks: int
    """Audio to the caller that came after what was there had played out."""
    calls_lost: int
    generator_cpu: float
    """Share of its core."""
    generator_late: Delays
    """How late frames left the generator."""

    @property
    def is_valid(self) -> bool:
        """False if the generator, not the target, may have made the figures."""
        return (self.generator_late.p99 or 0) <= GENERATOR_LATE_MS


GENERATOR_LATE_MS = 2.0


def delays(samples: Sequence[float]) -> Delays:
    if not samples:
        return Delays(0, None, None, None, None)
    ordered = sorted(samples)
    p50, p99, p999 = (percentile(ordered, share) for share in (0.5, 0.99, 0.999))
    return Delays(len(ordered), *(round(value, 3) for value in (p50, p99, p999, ordered[-1])))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of all does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
