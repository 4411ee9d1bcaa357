"""The drills themselves: what they find when nothing fails, and when something does."""

from functools import cache

import pytest

from benchmarks.drills.catalogue import LOSS_SWITCH, NO_FAULT, SHORT, SWITCHES
from benchmarks.drills.drill import DrillResult
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.store_drill import StoreDrill


@cache
def result_of(drill: StoreDrill) -> DrillResult:
    return drill.run()


def test_a_drill_without_a_fault_finds_nothing() -> None:
    result = NO_FAULT.run()
    assert result.notes == ()
    assert result.is_clean
    assert {kind.kind for kind in result.kinds} >= {"talking", "answered", "created", "transferred"}


def test_the_same_drill_has_the_same_result_again() -> None:
    assert SHORT[1].run() == result_of(SHORT[1])


@pytest.mark.parametrize("drill", SHORT, ids=lambda drill: drill.name)
def test_no_call_is_lost_when_the_table_fails_for_some_seconds(drill: StoreDrill) -> None:
    result = result_of(drill)
    assert result.notes == ()
    assert result.is_clean


@pytest.mark.parametrize("drill", SWITCHES, ids=lambda drill: drill.without.name)
def test_without_a_mechanism_its_drill_reports_losses(drill: StoreDrill) -> None:
    assert not drill.run().is_clean


def test_every_mechanism_has_a_drill() -> None:
    switched = {drill.without for drill in SWITCHES} | {LOSS_SWITCH.without}
    assert switched == set(Mechanism) - {Mechanism.NONE}
