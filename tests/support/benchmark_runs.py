"""Benchmark runs for tests."""

from benchmarks.control_plane.limits import Asked, OneCall
from benchmarks.media.figures import Delays, Figures
from benchmarks.media.results import Case, Run
from phonebridge.settings import ModelAudio

QUICK = Delays(100, 0.2, 0.9, 1.5, 2.0)
NEVER = Delays(0, None, None, None, None)
ONE_CALL = OneCall(
    [
        Asked("PutItem", "CALL", write_units=1, indexed=("live",)),
        Asked("PutItem", "CALL", write_units=2),
        Asked("GetItem", "CALL", read_units=1),
        Asked("PutItem", "FLEET", write_units=1),
    ],
    seconds=30.0,
)


def figures(
    cpu: float = 0.25,
    calls: int = 40,
    to_model: Delays = QUICK,
    unheard: int = 0,
    late: Delays = QUICK,
) -> Figures:
    return Figures(
        calls=calls,
        seconds=20.0,
        cpu_per_call_minute=cpu,
        mb_per_call=0.1,
        mb_idle=60.0,
        to_model=to_model,
        filter_ms=0.0,
        to_phone=QUICK,
        barge_in=NEVER,
        lost_ms_per_minute=0.0,
        unheard_probes=unheard,
        missing_ms=0.0,
        late_chunks=0,
        calls_lost=0,
        generator_cpu=0.2,
        generator_late=late,
    )


def case(target: str = "phonebridge", calls: int = 40) -> Case:
    return Case(target, ModelAudio.G711, False, calls)


def run(target: str = "phonebridge", cpu: float = 0.25, calls: int = 40) -> Run:
    return Run(case(target, calls), "2026-11-23 10:00 UTC", figures(cpu, calls))
