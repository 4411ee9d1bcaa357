"""When a soak fails."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.soak.figures import (
    Sample,
    Soak,
    can_judge_memory,
    growth_kb,
    load,
    problems,
    save,
    table,
)


def sample(minute: float, rss_mb: float, open_files: int = 200) -> Sample:
    return Sample(minute, rss_mb, open_files, 60, calls=int(minute * 100))


def soaked(*rss_mb: float) -> Soak:
    samples = tuple(sample(minute, each) for minute, each in enumerate(rss_mb, 1))
    return Soak(
        date="2026-11-30",
        machine="two cores",
        minutes=len(rss_mb),
        slots=40,
        calls=1_000,
        streams_lost=60,
        sessions_lost=80,
        wrong_records=0,
        before=sample(0, 60.0, 20),
        samples=samples,
        after=sample(len(rss_mb), rss_mb[-1], 25),
    )


STEADY = soaked(*[80.0, 95.0, 98.0, 99.0, 100.0, 100.0, 101.0, 101.0])


def test_a_process_that_fills_its_caches_first_is_steady() -> None:
    assert list(problems(STEADY)) == []
    assert growth_kb(STEADY) == pytest.approx(1024 / 200)


@pytest.mark.parametrize("kb_per_call", [8.5, 80.0])
def test_a_process_that_grows_with_every_call_fails(kb_per_call: float) -> None:
    growing = soaked(*(80.0 + kb_per_call / 1024 * 100 * minute for minute in range(30)))
    assert growth_kb(growing) == pytest.approx(kb_per_call)
    (problem,) = problems(growing)
    assert "memory grows by" in problem


def test_memory_is_not_judged_before_the_process_has_warmed_up() -> None:
    warming = soaked(80.0, 95.0, 97.0, 99.0, 103.0)
    assert not can_judge_memory(warming)
    assert list(problems(warming)) == []
    assert can_judge_memory(soaked(80.0, 95.0, 97.0, 99.0, 103.0, 104.0, 105.0))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"wrong_records": 1}, "1 calls have no end"),
        ({"streams_lost": 0}, "nothing was lost"),
        ({"sessions_lost": 0}, "nothing was lost"),
        ({"after": sample(8, 100.0, 120)}, "100 files are still open"),
    ],
)
def test_a_soak_fails_for_what_it_leaves(changes: dict[str, object], problem: str) -> None:
    (found,) = problems(replace(STEADY, **changes))
    assert problem in found


def test_the_table_begins_before_the_first_call_and_ends_after_the_last() -> None:
    lines = list(table(STEADY))
    assert lines[2] == "| 0.0 | 60.0 MB | 20 | 60 | 0 |"
    assert lines[-1] == "| after | 101.0 MB | 25 | 60 | 800 |"


def test_figures_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    assert load(path) is None
    save(STEADY, path)
    assert load(path) == STEADY
