"""The conversation that a new session of the model starts with."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.commands import AddMessage, AddToolCall, Role, SendToolOutput
from media_bridge.conversation.history import (
    MAX_CALL_ID_LENGTH,
    MAX_RESUME_CHARACTERS,
    MAX_TURNS,
    History,
    Note,
    finish_sentence,
    history_of,
    limit_size,
    short_call_id,
)
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.turn import Speaker, Turn

CALLER, AGENT = Speaker.CALLER, Speaker.AGENT
ORDER = PastToolCall("call-1", "order", '{"dish":"soup"}', '{"ok":true}', after_turn=2)


def turn(number: int, who: Speaker, text: str, stream: int = 1) -> Turn:
    return Turn(number=number, who=who, text=text, started_ms=0, ended_ms=0, stream_number=stream)


GREETING = turn(1, AGENT, "Hello!")
WISH = turn(2, CALLER, "Soup, please.")
ANSWER = turn(3, AGENT, "It is ordered.")


def texts_of(history: History) -> list[str]:
    return [item.text for item in history.items[:-1] if isinstance(item, AddMessage)]


def anchor(history: History) -> str:
    last = history.items[-1]
    assert isinstance(last, AddMessage)
    assert last.role is Role.SYSTEM
    return last.text


def test_a_call_in_which_nothing_happened_has_no_history() -> None:
    assert history_of((), Resume()) == History()


def test_turns_become_texts_of_their_speakers_and_one_message_asks_to_go_on() -> None:
    history = history_of((ANSWER, GREETING, WISH), Resume(), language="en")
    assert history.items[:-1] == (
        AddMessage(Role.ASSISTANT, "Hello!"),
        AddMessage(Role.USER, "Soup, please."),
        AddMessage(Role.ASSISTANT, "It is ordered."),
    )
    assert "renewed in the middle of this phone call" in anchor(history)
    assert 'Continue in the language "en"' in anchor(history)
    assert not history.is_reply_owed


def test_a_call_stands_with_its_output_where_it_was_made() -> None:
    history = history_of((GREETING, WISH, ANSWER), Resume((ORDER,)))
    assert history.items[2:4] == (
        AddToolCall("call-1", "order", '{"dish":"soup"}'),
        SendToolOutput("call-1", '{"ok":true}'),
    )


def test_a_call_that_still_runs_is_only_mentioned() -> None:
    running = replace(ORDER, output=None)
    history = history_of((GREETING, WISH), Resume((running,)))
    assert not [item for item in history.items if not isinstance(item, AddMessage)]
    assert "No result is known yet of order" in anchor(history)


def test_notes_stand_where_they_were_made() -> None:
    keys = AddMessage(Role.USER, "The caller pressed 1 on the keypad.")
    assert texts_of(history_of((GREETING, WISH), Resume(), [Note(1, keys)])) == [
        "Hello!",
        keys.text,
        "Soup, please.",
    ]


def test_a_reply_that_was_cut_off_is_to_be_finished() -> None:
    heard = " ".join(f"word{number}" for number in range(20))
    history = history_of((turn(1, AGENT, heard),), Resume(cut_off_words=heard))
    assert finish_sentence(heard) in anchor(history)
    assert 'up to "word8 ' in anchor(history)
    assert history.cut_off_words == heard


@pytest.mark.parametrize(
    ("turns", "resume", "is_owed"),
    [
        ((GREETING,), Resume(), False),
        ((GREETING, WISH), Resume(), True),
        ((GREETING, WISH, ANSWER), Resume((ORDER,)), False),
        ((GREETING, WISH), Resume((ORDER,)), True),
        ((GREETING,), Resume((replace(ORDER, after_turn=1),)), True),
        ((GREETING,), Resume(is_reply_owed=True), True),
    ],
)
def test_a_reply_is_owed_to_a_caller_who_spoke_last_or_waits_for_the_result_of_a_tool(
    turns: tuple[Turn, ...], resume: Resume, is_owed: bool
) -> None:
    assert history_of(turns, resume).is_reply_owed is is_owed


def test_words_that_the_lost_session_did_not_write_down_are_asked_for_again() -> None:
    history = history_of((GREETING, turn(2, CALLER, "")), Resume())
    assert texts_of(history) == ["Hello!"]
    assert "Ask the caller to say them again" in anchor(history)


def test_positions_go_on_through_all_streams_of_a_call() -> None:
    second = turn(1, CALLER, "Are you there?", stream=2)
    call = replace(ORDER, after_turn=4)
    history = history_of((second, GREETING, WISH, ANSWER), Resume((call,)))
    assert texts_of(history)[-1] == "Are you there?"
    assert isinstance(history.items[-3], AddToolCall)
    assert history.turn_count == 4


def test_a_long_call_is_restored_from_its_latest_turns() -> None:
    turns = [turn(number, AGENT, str(number)) for number in range(1, MAX_TURNS + 11)]
    assert texts_of(history_of(turns, Resume())) == [str(n) for n in range(11, MAX_TURNS + 11)]


@given(call_id=st.text(max_size=100))
def test_an_id_of_a_call_has_at_most_32_characters_and_stays_itself(call_id: str) -> None:
    short = short_call_id(call_id)
    assert len(short) <= MAX_CALL_ID_LENGTH
    assert short == short_call_id(call_id)
    assert (short == call_id) is (len(call_id) <= MAX_CALL_ID_LENGTH)


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null"])
def test_arguments_that_are_no_object_are_not_sent_to_a_server_that_would_refuse_them(
    arguments: str,
) -> None:
    history = history_of((), Resume((replace(ORDER, arguments=arguments),)))
    assert history.items[0] == AddToolCall("call-1", "order", "{}")


@given(
    calls=st.lists(
        st.builds(
            PastToolCall,
            call_id=st.text(max_size=60),
            name=st.text(max_size=64),
            arguments=st.text(max_size=3000),
            output=st.none() | st.text(max_size=9000),
            after_turn=st.integers(0, 99),
        ),
        max_size=30,
    )
)
def test_what_is_stored_for_another_task_has_a_limit_and_keeps_the_latest_calls(
    calls: list[PastToolCall],
) -> None:
    kept = limit_size(Resume(tuple(calls))).tool_calls
    size = sum(
        len(each.call_id) + len(each.name) + len(each.arguments) + len(each.output or "")
        for each in kept
    )
    assert size <= MAX_RESUME_CHARACTERS
    latest = calls[len(calls) - len(kept) :]
    assert [each.call_id for each in kept] == [each.call_id for each in latest]
