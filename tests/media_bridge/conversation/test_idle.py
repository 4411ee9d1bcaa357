"""A caller who says nothing."""

import pytest

from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    CancelResponse,
    CreateResponse,
    EndCall,
    LeaveStream,
    Role,
    TransferCall,
)
from media_bridge.conversation.idle import GOODBYE, PROMPT
from media_bridge.events import (
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    DigitPressed,
    ResponseStarted,
    StreamStopped,
)
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.steering import Interrupt, Mute, Side, StartTransfer, TransferFinished
from tests.support.bridges import agent_turn, caller_turn, done, play, ready_call, said, silent_call
from tests.support.playbook import At, Playbook

BUSY = "The call could not be transferred: user_busy. The caller is still with you."
LAST_WORDS = CreateResponse(instructions=GOODBYE.instructions)


def greeted_call(prompts: int = 2) -> Playbook:
    """The caller may be silent for 10 s from now on."""
    story = ready_call(config=CallConfig(idle_timeout_seconds=10, idle_prompts=prompts))
    respond(story, "resp-1")
    return story


def respond(story: Playbook, response: str) -> None:
    """Let the model respond, and interrupt the response before any sound."""
    assert (
        story
        >> ResponseStarted(response)
        >> Interrupt()
        << CancelResponse(response)
        >> done(response, "cancelled")
    )


@pytest.mark.parametrize("detection", ["server_vad", "semantic_vad"])
def test_silence_counts_from_the_end_of_playback_whatever_the_detector(detection: str) -> None:
    config = CallConfig(idle_timeout_seconds=10, turn_detection=TurnDetection(detection))
    assert (
        ready_call(config=config)
        >> ResponseStarted("resp-1")
        >> said(200)
        << play(100)
        << play(100)
        >> done()
        >> At(0.2)
        << agent_turn(1, "", 0, 200)
        >> At(10.1)
        >> At(10.2)
        << PROMPT
    )


def test_a_silent_caller_is_asked_again_and_then_hears_a_goodbye() -> None:
    story = greeted_call()
    assert story >> At(10.0) << PROMPT
    respond(story, "resp-2")
    assert story >> At(20.0) << PROMPT
    respond(story, "resp-3")
    assert story >> At(30.0) << LAST_WORDS
    assert (
        story
        >> ResponseStarted("resp-4")
        >> said(200, "item-4", "resp-4")
        << play(100)
        << play(100)
        >> done("resp-4")
        >> At(30.1)
        >> At(30.2)
        << agent_turn(1, "", 30_000, 30_200)
        >> At(30.6)
        << EndCall(EndedBy.IDLE)
        >> StreamStopped()
        << LeaveStream(was_lost=False)
    )


def test_no_prompt_where_none_is_wished() -> None:
    assert greeted_call(prompts=0) >> At(10.0) << LAST_WORDS


def test_speech_restarts_the_idle_count() -> None:
    story = greeted_call(prompts=1)
    assert story >> At(10.0) << PROMPT
    respond(story, "resp-2")
    assert (
        story
        >> At(15.0)
        >> CallerSpeechStarted("user-1")
        >> At(21.0)  # a long story
        >> CallerSpeechStopped("user-1")
        >> CallerTranscribed("user-1", "Yes")
        << caller_turn(1, "Yes", 15_000, 20_500)
        >> ResponseStarted("resp-3")
        >> Interrupt()
        << CancelResponse("resp-3")
        >> done("resp-3", "cancelled")
        >> At(30.9)
        >> At(31.0)
        << PROMPT
    )


def test_a_key_is_a_sign_of_life() -> None:
    story = greeted_call(prompts=1)
    assert story >> At(10.0) << PROMPT
    respond(story, "resp-2")
    story.now = 12.0
    story.bridge.handle(DigitPressed("#"), story.now)
    respond(story, "resp-3")
    assert story >> At(21.9) >> At(22.0) << PROMPT


def test_a_caller_who_speaks_during_the_goodbye_stays_on_the_line() -> None:
    story = greeted_call(prompts=0)
    assert story >> At(10.0) << LAST_WORDS
    assert (
        story
        >> ResponseStarted("resp-2")
        >> CallerSpeechStarted("user-1")
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
        << AddTimelineEntry("not spoken", "last words: it was interrupted")
        >> At(12.0)
        >> CallerSpeechStopped("user-1")
        >> ResponseStarted("resp-3")
        >> Interrupt()
        << CancelResponse("resp-3")
        >> done("resp-3", "cancelled")
        >> At(21.9)
        >> At(22.0)
        << LAST_WORDS
    )


def test_a_caller_who_waits_for_a_transfer_is_not_idle_until_it_fails() -> None:
    transfer = TransferCall("+15550101")
    story = greeted_call()
    assert story >> StartTransfer(to=transfer.to) << transfer >> At(40.0)
    assert (
        story >> TransferFinished("user_busy") << AddMessage(Role.SYSTEM, BUSY) << CreateResponse()
    )
    respond(story, "resp-2")
    assert story >> At(49.9) >> At(50.0) << PROMPT


def test_without_an_idle_timeout_a_caller_may_be_silent_for_ever() -> None:
    story = silent_call()
    assert story >> At(59.9)


def test_the_silence_of_a_muted_agent_is_not_the_callers() -> None:
    story = greeted_call(prompts=1)
    assert (
        story
        >> Mute(Side.AGENT, True)
        >> At(30.0)
        >> Mute(Side.AGENT, False)
        >> At(39.9)
        >> At(40.0)
        << PROMPT
    )
