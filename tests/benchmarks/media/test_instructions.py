"""What is computed from valgrind's counts."""

import pytest

from benchmarks.media.counted_call import CALLER_FRAMES, QUIET_FRAMES, SPOKEN_FRAMES
from benchmarks.media.instructions import (
    BASE,
    RECOUNT,
    Comparison,
    Count,
    Counts,
    Windows,
    compare,
    executed_instructions,
    incomparable,
    load,
    per_frame,
    windows,
)
from phonebridge.settings import ModelAudio

HERE = {"python": "3.11.7", "msgspec": "0.22.0", "numpy": "2.4.6", "valgrind": "3.19.0"}
STORED = Count("phonebridge", ModelAudio.G711, 60_000, 100_000)
KNOWN = Counts(HERE, (STORED,))
OF = "the base was counted with"


def test_the_sum_stands_at_the_end_of_the_report() -> None:
    assert (
        executed_instructions("events: Ir\nfl=a.c\n12 5000\nsummary: 2013582042\n") == 2_013_582_042
    )


def test_a_report_that_was_cut_off_has_no_sum() -> None:
    with pytest.raises(ValueError, match="no sum"):
        executed_instructions("events: Ir\nfl=a.c\n12 5000\n")


def test_the_windows_lie_between_the_ends_of_the_processes_whatever_their_order() -> None:
    assert windows([900, 100, 300]) == Windows(quiet=200, conversation=600)


def test_a_frame_is_charged_with_neither_the_far_ends_nor_what_the_other_side_brings() -> None:
    far_ends = Windows(quiet=7 * QUIET_FRAMES, conversation=1_000)
    caller, agent = 60_000 * CALLER_FRAMES, 100_000 * SPOKEN_FRAMES
    took = Windows(quiet=60_007 * QUIET_FRAMES, conversation=1_000 + caller + agent)
    assert per_frame("phonebridge", ModelAudio.G711, took, far_ends) == STORED


def test_what_was_counted_with_the_same_can_be_compared() -> None:
    assert incomparable(KNOWN, HERE) is None


@pytest.mark.parametrize(
    ("known", "here", "why"),
    [
        (KNOWN, {**HERE, "numpy": "2.5.0"}, f"{OF} numpy 2.4.6 (here 2.5.0); {RECOUNT}"),
        (KNOWN, {**HERE, "libc": "2.36"}, f"{OF} libc - (here 2.36); {RECOUNT}"),
        (
            KNOWN,
            {name: version for name, version in HERE.items() if name != "valgrind"},
            "valgrind is not installed",
        ),
    ],
)
def test_what_cannot_be_compared_is_told(known: Counts, here: dict[str, str], why: str) -> None:
    assert incomparable(known, here) == why


def test_growth_beyond_the_tolerance_is_told_with_both_figures() -> None:
    grown = Comparison("phonebridge g711, caller's frame", 61_201, 60_000)
    assert grown.has_grown
    assert str(grown) == (
        "phonebridge g711, caller's frame: 61,201 instructions, base 60,000 (+2.0%):"
        " increased by more than 2%"
    )


@pytest.mark.parametrize(("counted", "change"), [(61_200, "(+2.0%)"), (57_000, "(-5.0%)")])
def test_within_the_tolerance_and_below_it_nothing_has_grown(counted: int, change: str) -> None:
    within = Comparison("caller's frame", counted, 60_000)
    assert not within.has_grown
    assert str(within).endswith(change)


def test_the_base_of_the_budget_stays_where_it_is() -> None:
    """A new count writes only instructions.json, because the tolerance is for all changes
    together."""
    ours = [each for each in load(BASE).counts if each.target == "phonebridge"]
    assert {each.audio: (each.caller_frame, each.agent_frame) for each in ours} == {
        ModelAudio.G711: (45_652, 68_935),
        ModelAudio.PCM24K: (157_061, 132_703),
    }


def test_both_ways_are_compared_with_the_same_target_in_the_same_format() -> None:
    counted = Count("phonebridge", ModelAudio.G711, 61_000, 120_000)
    assert [each.has_grown for each in compare(counted, KNOWN)] == [False, True]
    other = Count("phonebridge", ModelAudio.PCM24K, 1, 1)
    assert list(compare(other, KNOWN)) == []
