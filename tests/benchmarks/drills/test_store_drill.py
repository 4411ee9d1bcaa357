"""The drills themselves: what they find when nothing fails, and when something does."""

from benchmarks.drills.catalogue import NO_FAULT


def test_a_drill_without_a_fault_finds_nothing() -> None:
    result = NO_FAULT.run()
    assert result.notes == ()
    assert result.is_clean
    assert {kind.kind for kind in result.kinds} >= {"talking", "answered", "created", "transferred"}


def test_the_same_drill_has_the_same_result_again() -> None:
    assert NO_FAULT.run() == NO_FAULT.run()
