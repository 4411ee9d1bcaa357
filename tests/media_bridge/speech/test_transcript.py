"""Turns: numbered as they begin, recorded as they become whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import PassThrough
from media_bridge.audio.loudness import Loudness
from media_bridge.commands import RecordTurn
from media_bridge.speech.playout import Item, ItemPlayed, ItemTruncated
from media_bridge.speech.transcript import Transcript
from phonebridge.call.turn import Speaker, Turn
from tests.support.bridges import sound


def item_of(item_id: str, ms: int = 1000) -> Item:
    """All of it equally loud."""
    item = Item(item_id, 0, "resp-1", PassThrough(), Loudness(Codec.PCMU), finished=True)
    item.loudness.feed(sound(ms))
    return item


def cut(item_id: str, heard_ms: int, received_ms: int) -> ItemTruncated:
    return ItemTruncated(item_of(item_id, received_ms), heard_ms, received_ms)


def turn(number: int, who: Speaker, text: str, started_ms: int, ended_ms: int) -> Turn:
    return Turn(number=number, who=who, text=text, started_ms=started_ms, ended_ms=ended_ms)


def test_times_count_from_the_start_of_the_stream() -> None:
    turns = Transcript(stream_started=100.0)
    turns.caller_started("user-1", 101.0)
    turns.caller_stopped("user-1", 102.5)
    [record] = turns.caller_said("user-1", "Hello")
    assert record == RecordTurn(turn(1, Speaker.CALLER, "Hello", 1000, 2500))


def test_words_may_come_before_the_sound_they_belong_to() -> None:
    turns = Transcript()
    turns.agent_said("item-1", "Good ")
    turns.agent_started("item-1", 1.0)
    turns.agent_said("item-1", "morning.")
    [record] = turns.agent_finished(ItemPlayed(item_of("item-1"), 2.0))
    assert record == RecordTurn(turn(1, Speaker.AGENT, "Good morning.", 1000, 2000))


@pytest.mark.parametrize(
    ("heard_ms", "text", "unheard"),
    [
        (0, "", "one two four five"),
        (480, "one two", "four five"),
        (520, "one two", "four five"),
        (1000, "one two four five", ""),
    ],
)
def test_of_a_turn_that_was_cut_the_words_heard_and_those_cut_off_are_kept(
    heard_ms: int, text: str, unheard: str
) -> None:
    turns = Transcript()
    turns.agent_started("item-1", 0.0)
    turns.agent_said("item-1", "one two four five")
    [record] = turns.agent_interrupted(cut("item-1", heard_ms, 1000), 1.0)
    assert (record.turn.text, record.turn.unheard, record.turn.interrupted) == (text, unheard, True)


def test_how_fast_the_agent_speaks_is_learned_from_what_was_heard_whole() -> None:
    turns = Transcript()
    for item in ("item-1", "item-2"):
        turns.agent_started(item, 0.0)
        turns.agent_said(item, "one two four five")
    unfinished = Item("item-2", 0, "resp-1", PassThrough(), Loudness(Codec.PCMU))
    unfinished.loudness.feed(sound(2000))
    assert list(turns.agent_finished(ItemPlayed(item_of("item-1", 4000), 4.0)))
    [record] = turns.agent_interrupted(ItemTruncated(unfinished, 2000, 2000), 6.0)
    assert (record.turn.text, record.turn.unheard) == ("one two", "four five")


@given(st.text(), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_cut_never_invents_words(text: str, one: int, other: int) -> None:
    turns = Transcript()
    turns.agent_started("item-1", 0.0)
    turns.agent_said("item-1", text)
    [record] = turns.agent_interrupted(cut("item-1", min(one, other), max(one, other)), 1.0)
    heard, unheard = record.turn.text, record.turn.unheard
    assert text.split() in ((heard + unheard).split(), f"{heard} {unheard}".split())


def test_words_about_nobody_are_no_turn() -> None:
    turns = Transcript()
    assert not list(turns.caller_said("user-9", "Hello"))
    assert not list(turns.agent_finished(ItemPlayed(item_of("item-9"), 1.0)))
    assert not list(turns.agent_interrupted(cut("item-9", 1, 2), 1.0))
    turns.caller_stopped("user-9", 1.0)
    assert turns.close(2.0) == []


def test_what_is_open_at_the_end_ends_there() -> None:
    turns = Transcript()
    turns.caller_started("user-1", 1.0)
    turns.caller_stopped("user-1", 2.0)
    turns.caller_started("user-2", 3.0)
    assert turns.close(4.0) == [
        RecordTurn(turn(1, Speaker.CALLER, "", 1000, 2000)),
        RecordTurn(turn(2, Speaker.CALLER, "", 3000, 4000)),
    ]
    assert turns.close(5.0) == []


def test_a_turn_does_not_end_before_it_began() -> None:
    turns = Transcript()
    turns.caller_started("user-1", 2.0)
    turns.caller_stopped("user-1", 1.5)
    [record] = turns.caller_said("user-1", "Hm")
    assert (record.turn.started_ms, record.turn.ended_ms) == (2000, 2000)
