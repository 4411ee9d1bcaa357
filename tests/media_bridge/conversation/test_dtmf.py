"""Keys that the caller presses. The model receives them as one entry, and they stop the agent as
speech does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    AddMessage,
    CancelResponse,
    ClearPlayback,
    ConfigureModel,
    CreateResponse,
    LeaveStream,
    Log,
    Role,
    TruncateItem,
)
from media_bridge.conversation.dtmf import MAX_ENTRY_LENGTH, PAUSE_SECONDS, DtmfCollector
from media_bridge.deadline import NEVER
from media_bridge.events import (
    DigitPressed,
    ModelConnected,
    ModelReady,
    ResponseStarted,
    StreamStopped,
)
from phonebridge.call.config import CallConfig
from tests.support.bridges import (
    STARTED,
    agent_turn,
    caller_turn,
    done,
    new_bridge,
    play,
    ready_call,
    said,
    silent_call,
    words,
)
from tests.support.playbook import At, Playbook


def prompt_of(keys: str) -> AddMessage:
    return AddMessage(Role.USER, f"The caller pressed {keys} on the keypad.")


def listening_call(config: CallConfig | None = None) -> Playbook:
    """The greeting was played."""
    story = silent_call(config=config)
    assert story >> At(1.0)
    return story


def test_an_entry_is_complete_after_a_pause() -> None:
    assert (
        listening_call()
        >> DigitPressed("1")
        >> At(1.8)
        >> DigitPressed("2")
        >> At(3.2)
        >> At(3.3)
        << caller_turn(1, "[pressed 1 2]", 1000, 1800)
        << prompt_of("1 2")
        << CreateResponse()
    )


def test_the_hash_key_completes_it_at_once() -> None:
    assert (
        listening_call()
        >> DigitPressed("7")
        >> At(1.2)
        >> DigitPressed("#")
        << caller_turn(1, "[pressed 7 #]", 1000, 1200)
        << prompt_of("7 #")
        << CreateResponse()
        >> At(10.0)
    )


def test_a_key_stops_the_agent_and_the_entry_waits_for_the_end_of_that_response() -> None:
    story = ready_call()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> words("Press one for")
        >> said(2000)
        << play(100)
        << play(100)
        >> At(0.05)
        >> DigitPressed("1")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 50)
        << agent_turn(1, "", 0, 50, interrupted=True, unheard="Press one for")
        >> DigitPressed("#")
        << caller_turn(2, "[pressed 1 #]", 50, 50)
        << prompt_of("1 #")
        >> done(status="cancelled")
        << CreateResponse()
    )


def test_digits_stay_off_the_record_where_that_is_wished() -> None:
    assert (
        listening_call(CallConfig(record_dtmf=False))
        >> DigitPressed("4")
        >> DigitPressed("2")
        >> At(2.5)
        << caller_turn(1, "[pressed 2 keys]", 1000, 1000)
        << prompt_of("4 2")
        << CreateResponse()
        >> DigitPressed("5")
        >> At(4.0)
        << caller_turn(2, "[pressed 1 key]", 2500, 2500)
        << prompt_of("5")
    )


def test_logs_tell_of_a_key_but_not_which() -> None:
    [entry] = listening_call().bridge.handle(DigitPressed("7"), 1.0)
    assert entry == Log("info", "digit pressed")


def test_keys_pressed_before_the_model_is_ready_are_told_when_it_is() -> None:
    story = Playbook(new_bridge())
    assert (
        story
        >> STARTED
        >> DigitPressed("3")
        >> At(5.0)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << CreateResponse()
        << caller_turn(1, "[pressed 3]", 0, 0)
        << prompt_of("3")
    )


def test_an_entry_that_the_end_of_the_call_cut_short_is_on_the_record() -> None:
    assert (
        listening_call()
        >> DigitPressed("9")
        >> At(1.5)
        >> StreamStopped()
        << caller_turn(1, "[pressed 9]", 1000, 1000)
        << LeaveStream(was_lost=False)
    )


def test_an_endless_entry_is_told_in_parts() -> None:
    keypad = DtmfCollector()
    for _ in range(MAX_ENTRY_LENGTH):
        assert keypad.take(0.0) is None
        keypad.press("5", 0.0)
    assert keypad.take(0.0) == "5" * MAX_ENTRY_LENGTH


_presses = st.lists(st.tuples(st.sampled_from("0123456789*#"), st.floats(0, 3)), max_size=40)


@given(_presses)
def test_every_key_is_told_once_and_in_its_order(presses: list[tuple[str, float]]) -> None:
    keypad, now, entries = DtmfCollector(), 0.0, []
    for digit, pause in presses:
        if entry := keypad.take(now):
            entries.append(entry)
        keypad.press(digit, now)
        if entry := keypad.take(now):
            entries.append(entry)
        now += pause
    if entry := keypad.take(now + PAUSE_SECONDS):
        entries.append(entry)
    assert keypad.complete_at == NEVER
    assert "".join(entries) == "".join(digit for digit, _ in presses)


@pytest.mark.parametrize("digit", ["", "Hello there"])
def test_what_is_no_key_does_no_harm(digit: str) -> None:
    keypad = DtmfCollector()
    keypad.press(digit, 0.0)
    assert keypad.take(PAUSE_SECONDS) == (digit or None)
