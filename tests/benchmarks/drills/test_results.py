"""`make drill` goes on where it stopped, unless the code has changed."""

from pathlib import Path

import msgspec

from benchmarks.drills import results
from benchmarks.drills.drill import DrillResult


def test_what_has_run_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "drills.json"
    known = results.load(path)
    known.by_name["store away"] = DrillResult(())
    results.save(known, path)
    assert results.load(path) == known


def test_results_of_other_code_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "drills.json"
    of_other_code = results.Results("0123", {"store away": DrillResult(())})
    path.write_bytes(msgspec.json.encode(of_other_code))
    assert results.load(path).by_name == {}


DOCUMENTED = '''
"""A module."""

LIMIT = 3
"""Maximum number of calls."""


def double(number: int) -> int:
    """Double a number."""
    return 2 * number  # as expected
'''
BARE = """
LIMIT = 3

def double(number: int) -> int:
    return 2 * number
"""


def test_other_words_in_comments_and_docstrings_are_the_same_code() -> None:
    assert results.code_of(DOCUMENTED) == results.code_of(BARE)


def test_another_number_is_other_code() -> None:
    assert results.code_of(BARE) != results.code_of(BARE.replace("3", "4"))
