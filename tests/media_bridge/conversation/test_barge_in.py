"""Which speech stops the agent."""

from dataclasses import replace

import pytest

from media_bridge.commands import (
    BridgeCommand,
    CancelResponse,
    ClearPlayback,
    CreateResponse,
    TruncateItem,
)
from media_bridge.conversation.barge_in import BargeIn
from media_bridge.deadline import NEVER
from media_bridge.events import (
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    ResponseStarted,
)
from phonebridge.call.config import CallConfig, TurnDetection
from tests.support.bridges import agent_turn, done, play, ready_call, said, silent_call, words
from tests.support.playbook import At, Playbook, pass_time

CONFIG = CallConfig()
CLICK = CallerSpeechStarted("click", started_ms=300)
CLICK_OVER = CallerSpeechStopped("click", ended_ms=400)


def greeting(config: CallConfig = CONFIG) -> Playbook:
    """Half a second of it is played, from 0.4 s on."""
    story = ready_call(config=config)
    assert (
        story
        >> At(0.4)
        >> ResponseStarted("resp-1")
        >> words("Good morning!")
        >> said(500)
        << play(100)
        << play(100)
    )
    return story


def test_the_lines_own_first_noises_do_not_stop_the_greeting() -> None:
    assert (
        greeting()
        >> CLICK
        >> At(0.85)
        << play(100)
        << play(100)
        << play(100)
        >> CLICK_OVER
        >> At(2.0)
    )


def test_what_the_model_answers_to_them_follows_the_greeting() -> None:
    assert (
        greeting()
        >> CLICK
        >> CLICK_OVER
        >> done()
        >> ResponseStarted("resp-2")
        >> said(100, "item-2", "resp-2")
        >> At(0.85)
        << play(100)
        << play(100)
        << play(100)
        << play(100)
    )


def test_a_model_that_does_not_answer_them_is_asked_to() -> None:
    assert (
        greeting()
        >> CLICK
        >> CLICK_OVER
        >> done()
        >> At(0.9)
        << play(100)
        << play(100)
        << play(100)
        << agent_turn(1, "Good morning!", 400, 900)
        >> At(1.3)
        >> At(1.4)
        << CreateResponse()
    )


def test_long_speech_that_came_in_a_burst_is_an_interruption() -> None:
    """The frames were delayed on their way, and their clock shows for how long."""
    story = greeting()
    story.now = 0.5
    assert (
        story
        >> CLICK
        << play(100)
        >> CallerSpeechStopped("click", ended_ms=1400)
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 100)
        << agent_turn(1, "", 400, 500, interrupted=True, unheard="Good morning!")
    )


def test_a_caller_who_goes_on_speaking_interrupts() -> None:
    story = greeting()
    story.bridge.handle(said(5000), 0.4)
    story.bridge.handle(CLICK, 0.5)
    commands = pass_time(story.bridge, 0.5, 2.0)
    assert [at for at, each in commands if isinstance(each, ClearPlayback)] == [1.5]


def test_after_the_first_second_a_word_is_enough() -> None:
    story = greeting()
    story.now = 0.5
    assert (
        story
        >> CallerSpeechStarted("user-1", started_ms=1000)
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 100)
        << agent_turn(1, "", 400, 500, interrupted=True, unheard="Good morning!")
    )


def test_noises_before_anything_is_said_end_as_any_turn() -> None:
    """The model has not begun the greeting: it is on its way all the same."""
    story = ready_call()
    assert story >> CLICK >> CLICK_OVER >> ResponseStarted("resp-1") >> said(100) << play(100)


def test_where_the_model_stops_by_itself_nothing_is_held_back() -> None:
    decides = replace(CONFIG, turn_detection=TurnDetection(interrupt_response=True))
    story = greeting(decides)
    story.now = 0.5
    assert (
        story
        >> CLICK
        << ClearPlayback()
        << TruncateItem("item-1", 0, 100)
        << agent_turn(1, "", 400, 500, interrupted=True, unheard="Good morning!")
    )


def test_short_speech_does_not_stop_the_agent_where_that_is_wished() -> None:
    story = ready_call(config=replace(CONFIG, barge_in_min_ms=300))
    story.bridge.handle(ResponseStarted("resp-1"), 10.0)
    story.bridge.handle(said(5000), 10.0)
    echo, caller = (CallerSpeechStarted(each, started_ms=9000) for each in ("echo", "caller"))
    told: list[tuple[float, BridgeEvent]] = [
        (10.5, echo),
        (10.7, CallerSpeechStopped("echo")),
        (11.0, caller),
    ]
    commands, now = list[tuple[float, BridgeCommand]](), 10.0
    for at, event in told:
        commands += pass_time(story.bridge, now, at)
        commands += [(at, command) for command in story.bridge.handle(event, at)]
        now = at
    commands += pass_time(story.bridge, now, 12.0)
    cleared = [at for at, each in commands if isinstance(each, ClearPlayback)]
    assert cleared == [pytest.approx(11.3)]


def test_a_short_answer_to_an_agent_who_has_finished_is_an_answer() -> None:
    story = silent_call(config=replace(CONFIG, barge_in_min_ms=300))
    assert (
        story
        >> At(10.0)
        >> CallerSpeechStarted("user-1", started_ms=9000)
        >> CallerSpeechStopped("user-1")
        >> ResponseStarted("resp-2")
        >> said(100, "item-2", "resp-2")
        << play(100)
    )


@pytest.mark.parametrize(
    ("began_ms", "now", "at_once"),
    [
        (0, 100.3, False),
        (999, 101.1, False),
        (1000, 101.1, True),
        (0, 101.3, True),  # the model's clock did not run
        (None, 100.3, True),
    ],
)
def test_the_first_second_is_judged_by_both_clocks(
    began_ms: float | None, now: float, at_once: bool
) -> None:
    barge_in = BargeIn()
    barge_in.begin(100.0)
    assert barge_in.speech_started(began_ms, now) is at_once
    assert barge_in.counts(now + 0.99) is False
    assert barge_in.counts(now + 1.0) is not at_once
    assert barge_in.counts_at == NEVER
    assert barge_in.was_interruption


@pytest.mark.parametrize("ended_ms", [None, 5299])
def test_speech_that_ends_before_it_counts_was_none(ended_ms: float | None) -> None:
    barge_in = BargeIn(min_seconds=0.3)
    assert not barge_in.speech_started(5000, 10.0)
    assert not barge_in.speech_stopped(ended_ms)
    assert not barge_in.was_interruption
    assert not barge_in.counts(11.0)
