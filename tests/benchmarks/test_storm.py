"""A few calls, all answered, told something and hung up in the same seconds."""

from math import inf

import pytest

from rush import busiest
from storm import Passed, Storm, weathered

CALLS = 40


@pytest.fixture(scope="module")
def calm() -> Passed:
    """Nothing is refused."""
    return weathered(Storm(CALLS, webhooks_a_second=inf, lambdas=inf))


@pytest.fixture(scope="module")
def flooded() -> Passed:
    """The route lets so little through that Telnyx gives up much of what it has to tell."""
    return weathered(Storm(CALLS, webhooks_a_second=15))


def test_every_record_is_whole_however_its_webhooks_came(calm: Passed) -> None:
    assert calm.ends == {"whole": CALLS}
    assert set(calm.seen.answers) == {200}
    assert (calm.seen.given_up, calm.seen.unwritten, calm.seen.turned_away) == (0, 0, 0)


def test_writers_of_one_call_meet(calm: Passed) -> None:
    assert calm.races > 0


def test_every_call_is_told_what_it_was_to_be_told(calm: Passed) -> None:
    assert len(calm.seen.mail_seconds) == CALLS


def test_each_call_takes_its_place_and_gives_it_back(calm: Passed) -> None:
    assert busiest(calm.table.written, "FLEET") >= CALLS / 2  # most are answered within one second


def test_the_same_storm_comes_again(calm: Passed) -> None:
    again = weathered(calm.storm)
    assert again.table.written == calm.table.written
    assert again.seen == calm.seen


def test_a_flood_leaves_no_call_open(flooded: Passed) -> None:
    assert flooded.seen.given_up > 0
    assert sum(flooded.ends.values()) == CALLS
    assert not [end for end in flooded.ends if end.startswith("left")]


def test_where_no_lambda_is_left_telnyx_comes_again() -> None:
    scarce = weathered(Storm(CALLS, webhooks_a_second=inf, lambdas=3))
    assert scarce.seen.answers[503] > 0
    assert scarce.seen.most_running == 3
    assert scarce.seen.running == 0
