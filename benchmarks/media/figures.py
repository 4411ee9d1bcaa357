"""The figures of a run, as they are stored in results.json."""

import math
from collections.abc import Sequence

from msgspec import Struct

from phonebridge.settings import ModelAudio


class Delays(Struct, frozen=True):
    """Percentiles of delays in milliseconds. They are None without a sample."""

    count: int
    p50: float | None
    p99: float | None
    p999: float | None
    max: float | None


class Ticket(Struct, frozen=True):
    """The credentials for the media socket of one call."""

    call_id: str
    token: str


class Job(Struct, frozen=True):
    """What the load generator must do, as run.py passes it."""

    pid: int
    """The process of the target, whose CPU and memory are measured."""
    media_url: str
    """The address ws://host:port/path, to which the id of a call is appended."""
    model_port: int
    audio: ModelAudio
    seconds: float
    tickets: list[Ticket]
    certificate: str | None = None
    """PEM file with the key and certificate of the simulated model. None means no TLS."""
    fault_pid: int | None = None
    """A process that gets SIGUSR1 when the steady window begins, and then causes its fault."""


class Figures(Struct, frozen=True, kw_only=True):
    """The figures of one run: what the generator measured in the steady window, and what the target
    used."""

    calls: int
    seconds: float
    cpu_per_call_minute: float
    mb_per_call: float
    mb_idle: float
    to_model: Delays
    filter_ms: float | None
    """The part of `to_model` that comes from filters, not from late arrival."""
    to_phone: Delays
    barge_in: Delays
    lost_ms_per_minute: float
    """Caller audio that did not reach the model."""
    unheard_probes: int
    missing_ms: float
    """Agent audio that did not reach the caller, without interrupted answers."""
    late_chunks: int
    """Chunks that reached the caller after the previous audio had played out."""
    calls_lost: int
    generator_cpu: float
    """The generator's share of its core."""
    generator_late: Delays
    """How late frames left the generator."""

    @property
    def is_valid(self) -> bool:
        """Whether the generator was fast enough. If not, it may have influenced the figures."""
        return (self.generator_late.p99 or 0) <= GENERATOR_LATE_MS


GENERATOR_LATE_MS = 2.0


def delays(samples: Sequence[float]) -> Delays:
    if not samples:
        return Delays(0, None, None, None, None)
    ordered = sorted(samples)
    p50, p99, p999 = (percentile(ordered, share) for share in (0.5, 0.99, 0.999))
    return Delays(len(ordered), *(round(value, 3) for value in (p50, p99, p999, ordered[-1])))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest sample that is not below this share of all samples (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
