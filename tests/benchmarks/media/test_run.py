"""The search for the largest number of calls on a core."""

import pytest

from benchmarks.media.figures import Delays
from benchmarks.media.results import Case, Run
from benchmarks.media.run import find_capacity, line
from phonebridge.settings import ModelAudio
from tests.support.benchmark_runs import QUICK, case, figures, run

SLOW = Delays(100, 10.0, 40.0, 60.0, 80.0)


class Machine:
    """A machine that carries this many calls in time, and no more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.tried: list[int] = []

    def run(self, case: Case) -> Run:
        self.tried.append(case.calls)
        to_model = QUICK if case.calls <= self._most else SLOW
        return Run(case, "", figures(calls=case.calls, to_model=to_model))


@pytest.mark.parametrize("most", [7, 40, 133, 700])
def test_the_capacity_is_found_within_a_tenth(most: int) -> None:
    machine = Machine(most)
    found = find_capacity(machine.run, "phonebridge", ModelAudio.G711, tls=False)
    assert found.calls <= most <= found.calls * 1.1 + 1
    assert found.limit == "p99 of 40.0 ms"
    assert len(machine.tried) <= 12


def test_a_capacity_beyond_what_a_task_may_hold_is_not_reached() -> None:
    found = find_capacity(Machine(5000).run, "floor", ModelAudio.G711, tls=False)
    assert found.calls == 1000
    assert found.limit == "not reached"


def test_a_run_without_figures_prints_its_reason() -> None:
    refused = Run(case("livekit"), "", None, "livekit does not speak g711 to the model")
    assert "livekit does not speak g711 to the model" in line(refused)


def test_a_run_prints_its_figures_in_one_line() -> None:
    assert " 0.250 " in line(run())
    assert "\n" not in line(run())
