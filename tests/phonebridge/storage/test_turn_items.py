"""Turns that share items: nothing gets lost, and the latest version counts."""

from hypothesis import given
from hypothesis import strategies as st

from phonebridge.call.turn import Speaker, Turn
from phonebridge.storage.turn_items import (
    MAX_TEXT_LENGTH_OF_GROUP,
    StoredTurns,
    group_turns,
    latest_turns,
    sort_key_of,
)


def turn(number: int, text: str = "Hello.", stream_number: int = 1) -> Turn:
    return Turn(
        number=number,
        who=Speaker.CALLER,
        text=text,
        started_ms=0,
        ended_ms=1,
        stream_number=stream_number,
    )


TURNS = st.lists(
    st.tuples(
        st.sampled_from(["call-1", "call-2"]),
        st.builds(turn, st.integers(1, 50), st.just("x" * 7_000), st.integers(1, 5)),
    )
)


@given(TURNS)
def test_every_turn_is_in_one_group_of_its_call_and_groups_are_bounded(
    turns: list[tuple[str, Turn]],
) -> None:
    groups = list(group_turns(turns))
    flat = [(call_id, each) for call_id, group in groups for each in group]
    assert sorted(flat, key=repr) == sorted(turns, key=repr)
    assert all(
        len(group) == 1 or sum(len(each.text) for each in group) <= MAX_TEXT_LENGTH_OF_GROUP
        for _, group in groups
    )


def test_a_turn_that_is_revised_beside_others_keeps_those_it_was_written_with() -> None:
    first, revised = [turn(5), turn(6)], [turn(5, "Hello again."), turn(7)]
    assert sort_key_of(first, 1_000) < sort_key_of(revised, 1_001)
    stored = [StoredTurns.of(first), StoredTurns.of(revised)]
    assert latest_turns(stored) == (turn(5, "Hello again."), turn(6), turn(7))


def test_turns_are_in_the_order_of_their_streams_and_numbers() -> None:
    stored = [StoredTurns.of([turn(1, stream_number=2)]), StoredTurns.of([turn(2), turn(1)])]
    places = [(each.stream_number, each.number) for each in latest_turns(stored)]
    assert places == [(1, 1), (1, 2), (2, 1)]
