"""An observer considers a task silent only if it could have read its heartbeats."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from phonebridge.liveness import (
    HEARTBEAT_SECONDS,
    MAX_READ_GAP_SECONDS,
    SILENCE_SECONDS,
    CarriedCalls,
    Watch,
    is_missing,
)


@dataclass(frozen=True)
class Read:
    """One look of the observer: how long after the last one, and whether it succeeded."""

    pause: float
    succeeds: bool


PAUSES = st.floats(0.1, 30.0)
READS = st.lists(st.builds(Read, PAUSES, st.booleans()), max_size=40)
SOON = st.floats(0.1, 0.99 * MAX_READ_GAP_SECONDS)


@given(READS)
def test_a_task_that_beats_between_successful_reads_is_never_silent(reads: list[Read]) -> None:
    watch, now, count = Watch(), 0.0, 0
    for read in reads:
        now += read.pause
        if not read.succeeds:
            watch = watch.after_failure()
            continue
        count += 1
        watch = watch.after_read({"task": count}, now)
        assert not watch.silent_tasks()


@given(READS, st.lists(st.integers(0, 1), min_size=40, max_size=40))
def test_a_silent_task_was_read_without_a_failure_or_a_gap_all_the_time(
    reads: list[Read], beats: list[int]
) -> None:
    watch, now, count = Watch(), 0.0, 0
    unbroken_since: float | None = None
    for read, beat in zip(reads, beats, strict=False):
        now += read.pause
        if beat:
            count, unbroken_since = count + 1, None
        if not read.succeeds or read.pause > MAX_READ_GAP_SECONDS:
            unbroken_since = None
        if not read.succeeds:
            watch = watch.after_failure()
            continue
        if unbroken_since is None:
            unbroken_since = now
        watch = watch.after_read({"task": count}, now)
        is_silent = bool(watch.silent_tasks())
        assert is_silent == (now - unbroken_since >= SILENCE_SECONDS)


@given(st.lists(SOON, min_size=1, max_size=60))
def test_a_dead_task_is_found_within_its_time_and_one_read(pauses: list[float]) -> None:
    watch, now = Watch().after_read({"task": 7}, 0.0), 0.0
    for pause in pauses:
        now += pause
        watch = watch.after_read({"task": 7}, now)
        assert bool(watch.silent_tasks()) == (now >= SILENCE_SECONDS)


@given(st.floats(0.0, 600.0), st.floats(0.0, 600.0), st.floats(0.0, HEARTBEAT_SECONDS))
def test_no_outage_ends_a_living_task(begins: float, lasts: float, phase: float) -> None:
    """Neither can the task write in the outage nor can the observer read."""
    watch, count = Watch(), 0
    tick = 0.1
    next_beat, next_read = phase, 0.0
    for step in range(int((begins + lasts + 60) / tick)):
        now = step * tick
        is_away = begins <= now < begins + lasts
        if now >= next_beat:
            count += not is_away
            # An attempt takes two seconds when nothing answers.
            next_beat = now + HEARTBEAT_SECONDS + (2.0 if is_away else 0.0)
        if now >= next_read:
            watch = watch.after_failure() if is_away else watch.after_read({"task": count}, now)
            next_read = now + HEARTBEAT_SECONDS
            assert not watch.silent_tasks()


def test_a_clock_that_goes_back_proves_nothing() -> None:
    watch = Watch().after_read({"task": 1}, 100.0).after_read({"task": 1}, 90.0)
    assert not watch.silent_tasks()
    assert not watch.after_read({"task": 1}, 95.0).silent_tasks()


def test_a_task_that_was_not_read_is_no_silent_task() -> None:
    watch = Watch().after_read({"task": 1}, 0.0).after_read({}, 4.0)
    assert not watch.after_read({"task": 1}, 8.0).silent_tasks()


KEY = "0badcafe"


@st.composite
def lives_of_a_list(draw: st.DrawFn) -> tuple[CarriedCalls, CarriedCalls]:
    """Two reads of a task that carries the call, at any moments after the claim.

    The task listed the call in version 2, before it claimed it. Heartbeats are composed one after
    the other; one may be on its way when the observer reads, and so may the list.
    """
    composed_before = draw(st.integers(1, 5))
    first_count = draw(st.integers(composed_before - 1, composed_before + 3))
    second_count = first_count + draw(st.integers(0, 5))
    written = sorted(draw(st.tuples(st.integers(1, 3), st.integers(1, 3))))

    def read(count: int, version: int) -> CarriedCalls:
        # The heartbeats after those composed before the claim announce the second version.
        announced = 1 if count <= composed_before else 2
        keys = frozenset({KEY} if version >= 2 else ())
        return CarriedCalls(count, announced, version, keys)

    return read(first_count, written[0]), read(second_count, written[1])


@given(lives_of_a_list())
def test_a_call_that_is_carried_is_never_missing(
    reads: tuple[CarriedCalls, CarriedCalls],
) -> None:
    assert not is_missing(KEY, *reads)


def test_a_call_that_is_lacked_by_two_living_lists_is_missing() -> None:
    def read(count: int, announced: int = 3, version: int = 3) -> CarriedCalls:
        return CarriedCalls(count, announced, version, frozenset({"another"}))

    assert is_missing(KEY, read(10), read(12))
    assert not is_missing(KEY, read(10), read(11)), "it may have been composed before the claim"
    assert not is_missing(KEY, read(10), read(12, announced=4)), "the list is on its way"
    assert not is_missing("another", read(10), read(12))
