"""The drills themselves: what they find when nothing fails, and when something does."""

import pytest

from benchmarks.drills.catalogue import NO_FAULT, SHORT, SWITCHES
from benchmarks.drills.drill import Drill
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.socket_drill import SocketDrill


def test_a_drill_without_a_fault_finds_nothing() -> None:
    result = NO_FAULT.run()
    assert result.notes == ()
    assert result.is_clean
    assert {kind.kind for kind in result.kinds} >= {"talking", "answered", "created", "transferred"}


@pytest.mark.parametrize("drill", [*SHORT, SocketDrill()], ids=lambda drill: drill.name)
def test_no_call_is_lost(drill: Drill) -> None:
    result = drill.run()
    assert result.notes == ()
    assert result.is_clean


def test_the_same_drill_has_the_same_result_again() -> None:
    assert SHORT[1].run() == SHORT[1].run()


@pytest.mark.parametrize("drill", SWITCHES, ids=lambda drill: drill.without.name)
def test_without_a_mechanism_its_drill_reports_losses(drill: Drill) -> None:
    assert not drill.run().is_clean


def test_every_mechanism_has_a_drill() -> None:
    assert {drill.without for drill in SWITCHES} == set(Mechanism) - {Mechanism.NONE}
