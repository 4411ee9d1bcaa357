"""More than one core: the spread over listeners, and the page's section."""

import pytest

from cores import TWO, Cores, Spread, judged, section, trial
from figures import Delays
from results import Results, Run
from support.benchmark_runs import case, figures, run


def test_every_socket_reaches_one_of_the_listeners() -> None:
    counts = trial(listeners=3, sockets=60)
    assert len(counts) == 3
    assert sum(counts) == 60
    assert max(counts) < 60  # all by chance: once in 3^59


def test_trials_are_judged_by_their_fullest_listener() -> None:
    found = judged([[30, 30], [45, 15], [33, 27]])
    assert (found.processes, found.sockets) == (2, 60)
    assert [found.fullest, found.fullest_p99] == pytest.approx([33 / 30, 45 / 30])
    assert found.over == pytest.approx(1 / 3)


def test_the_section_sets_the_balancer_beside_the_hash_and_two_processes_beside_one() -> None:
    two = Run(case(TWO), "", figures(cpu=0.28))
    page = section(Cores([Spread(4, 90, 1.2, 1.5, 0.02)], Results(runs=[run(cpu=0.25), two])))
    assert "| 4 | 90 | 56% | 1.20 | 1.50 | 2.0% | 1.02 |" in page
    assert "| g711 | 1 | 0.250 / 0.250 | 60 | 0.90 | 0.90 |" in page
    assert "| g711 | 2 | 0.280 / 0.280 | 60 | 0.90 | 0.90 |" in page


def test_what_a_late_generator_measured_is_not_shown() -> None:
    late = Delays(100, 2.0, 9.0, 12.0, 20.0)
    page = section(Cores([], Results(runs=[Run(case(), "", figures(cpu=0.123, late=late))])))
    assert "| g711 | 1 | the machine was busy: measure again | 60 |" in page
    assert "0.123" not in page
