"""The drills themselves: what they find when nothing fails, and when something does."""

import pytest

from benchmarks.drills.catalogue import COVERED, LOSS_SWITCH, NO_FAULT, SHORT, SWITCHES
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.store_drill import StoreDrill


def test_a_drill_without_a_fault_finds_nothing() -> None:
    result = NO_FAULT.run()
    assert result.notes == ()
    assert result.is_clean
    assert {kind.kind for kind in result.kinds} >= {"talking", "answered", "created", "transferred"}


@pytest.mark.parametrize("drill", SHORT, ids=lambda drill: drill.name)
def test_no_call_is_lost_when_the_table_fails_for_some_seconds(drill: StoreDrill) -> None:
    result = drill.run()
    assert result.notes == ()
    assert result.is_clean


@pytest.mark.parametrize("drill", SWITCHES, ids=lambda drill: drill.without.name)
def test_without_a_mechanism_its_drill_reports_losses(drill: StoreDrill) -> None:
    assert not drill.run().is_clean


def test_every_mechanism_has_a_drill() -> None:
    switched = {drill.without for drill in SWITCHES} | {LOSS_SWITCH.without}
    assert switched | set(COVERED) == set(Mechanism) - {Mechanism.NONE}
