"""Calls that are steered from outside, and what the carrier makes of it."""

import pytest

from bridges import STARTED, agent_turn, done, new_bridge, play, ready_call, said, words
from media_bridge.audio import Codec
from media_bridge.commands import AddText, ConfigureModel, EndCall, Respond, Role
from media_bridge.events import (
    DigitsFailed,
    EndAsked,
    LeaveAsked,
    ModelConnected,
    ModelReady,
    ResponseStarted,
    SteeringEvent,
    TransferFailed,
)
from phonebridge.call import EndedBy
from playbook import At, Playbook

FAREWELL = EndAsked(EndedBy.API, saying="Goodbye!")


def quiet_call() -> Playbook:
    """The agent has greeted with 20 ms of sound, and was heard."""
    story = ready_call()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> words("Hello.")
        >> said(20)
        << play(20)
        >> done()
        >> At(1.0)
        << agent_turn(1, "Hello.", 0, 20)
    )
    return story


def test_a_call_ends_when_its_last_sentence_was_heard() -> None:
    assert (
        quiet_call()
        >> FAREWELL
        << Respond(saying="Goodbye!")
        >> ResponseStarted("resp-2")
        >> words("Goodbye!", "item-2", "resp-2")
        >> said(100, "item-2", "resp-2")
        << play(100)
        >> done("resp-2")
        >> At(1.05)
        >> At(2.0)
        << agent_turn(2, "Goodbye!", 1000, 1100)
        << EndCall(EndedBy.API)
    )


def test_a_last_sentence_waits_for_what_the_agent_says_just_now() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> FAREWELL
        >> done()
        << Respond(saying="Goodbye!")
    )


def test_a_last_sentence_that_never_comes_is_not_waited_for_long() -> None:
    story = quiet_call()
    assert (
        story
        >> FAREWELL
        << Respond(saying="Goodbye!")
        >> At(20.9)
        >> At(21.1)
        << EndCall(EndedBy.API)
    )


@pytest.mark.parametrize("by", EndedBy)
def test_an_end_without_words_is_at_once(by: EndedBy) -> None:
    assert ready_call() >> EndAsked(by) << EndCall(by)
    assert Playbook(new_bridge()) >> EndAsked(by) << EndCall(by)


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (
            TransferFailed("user_busy"),
            "The call could not be transferred: user_busy. The caller is still with you.",
        ),
        (DigitsFailed("not answered"), "The keys could not be pressed: not answered."),
    ],
)
def test_the_model_is_told_what_the_carrier_could_not_do(failed: SteeringEvent, told: str) -> None:
    assert quiet_call() >> failed << AddText(Role.SYSTEM, told) << Respond()


def test_what_needs_words_waits_until_the_model_is_ready() -> None:
    assert (
        Playbook(new_bridge())
        >> STARTED
        >> FAREWELL
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << Respond()
        >> ResponseStarted("resp-1")
        >> done()
        << Respond(saying="Goodbye!")
    )


def test_a_transferred_call_is_left() -> None:
    story = quiet_call()
    assert story.bridge.handle(LeaveAsked(), story.now)
    assert story >> FAREWELL >> TransferFailed("late")
