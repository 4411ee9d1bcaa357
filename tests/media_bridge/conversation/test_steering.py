"""Calls that are steered from outside, and what the carrier makes of it."""

from dataclasses import replace

import pytest

from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    AppendAudio,
    CancelResponse,
    ClearPlayback,
    ConfigureModel,
    ConnectModel,
    CreateResponse,
    EndCall,
    Log,
    Role,
    SaveSettings,
    TransferCall,
    TruncateItem,
    UpdateSession,
)
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.idle import PROMPT
from media_bridge.conversation.steering import apply_event
from media_bridge.events import (
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    DigitsFailed,
    HangUpRequested,
    LeaveRequested,
    MessageLost,
    ModelConnected,
    ModelReady,
    ResponseStarted,
    SettingsRefused,
    SettingsUpdated,
    SteeringEvent,
)
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.steering import Interrupt, Mute, Side, StartTransfer, TransferFinished, Update
from phonebridge.settings import ModelAudio
from tests.support.bridges import (
    STARTED,
    agent_turn,
    caller_turn,
    done,
    frame,
    new_bridge,
    play,
    ready_call,
    said,
    say_of,
    silent_call,
    words,
)
from tests.support.playbook import At, Playbook

WORDS = CreateResponse(exact_text="Your table is ready.")
FAREWELL = HangUpRequested(EndedBy.API, exact_text="Goodbye!")


def quiet_call() -> Playbook:
    """The agent's greeting of 20 ms has been played."""
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


# Said by order.


def test_exact_words_and_an_instruction() -> None:
    assert quiet_call() >> say_of(WORDS) << WORDS
    guidance = CreateResponse(instructions="Ask for the order's number.")
    assert quiet_call() >> say_of(guidance) << guidance


def test_what_is_to_be_said_waits_for_what_the_agent_says_just_now() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> say_of(WORDS)
        >> done()
        << WORDS
    )


def test_a_say_with_interrupt_stops_the_agent_and_comes_before_all_that_waits() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(200)
        << play(100)
        << play(100)
        >> say_of(CreateResponse(exact_text="Later."))
        >> At(0.1)
        >> say_of(WORDS, interrupt=True)
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 100)
        << agent_turn(1, "", 0, 100, interrupted=True)
        >> said(200)
        >> done(status="cancelled")
        << WORDS
        >> ResponseStarted("resp-2")
        >> Interrupt()
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
        << AddTimelineEntry("not spoken", "say: it was interrupted")
        << CreateResponse(exact_text="Later.")
    )


def test_nothing_is_said_by_order_while_the_caller_speaks() -> None:
    assert (
        quiet_call()
        >> CallerSpeechStarted("caller-1")
        >> say_of(WORDS, interrupt=True)
        >> CallerSpeechStopped("caller-1")
        >> ResponseStarted("resp-2")
        >> Interrupt()
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
        << WORDS
    )


# Muted.


def test_a_muted_agent_is_cut_and_stays_silent_until_it_is_unmuted() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(200)
        << play(100)
        << play(100)
        >> At(0.1)
        >> Mute(Side.AGENT, True)
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 100)
        << agent_turn(1, "", 0, 100, interrupted=True)
        >> done(status="cancelled")
        >> CallerSpeechStarted("caller-1")
        >> CallerSpeechStopped("caller-1")
        >> ResponseStarted("resp-2")
        << CancelResponse("resp-2")
        >> said(100, "item-2", "resp-2")
        << TruncateItem("item-2", 0, 0)
        >> done("resp-2", status="cancelled")
        >> say_of(WORDS)
        >> At(5.0)
        >> Mute(Side.AGENT, False)
        << WORDS
    )


def test_a_last_sentence_is_heard_of_a_muted_agent_too() -> None:
    assert (
        quiet_call() >> Mute(Side.AGENT, True) >> FAREWELL << CreateResponse(exact_text="Goodbye!")
    )


def test_of_a_muted_caller_the_model_hears_silence() -> None:
    silence = AppendAudio(Codec.PCMU.silence * 160)
    assert (
        quiet_call()
        >> frame(1)
        << AppendAudio(frame(1).payload)
        >> Mute(Side.CALLER, True)
        >> Mute(Side.CALLER, True)
        >> frame(2)
        << silence
        >> Mute(Side.CALLER, False)
        >> frame(3)
        << AppendAudio(frame(3).payload)
    )


@pytest.mark.parametrize("side", Side)
def test_nobody_is_idle_on_a_call_of_which_one_side_is_muted(side: Side) -> None:
    idle = CallConfig(idle_timeout_seconds=10, idle_prompts=1)
    story = silent_call(config=idle)
    assert (
        story >> Mute(side, True) >> At(40.0) >> Mute(side, False) >> At(49.0) >> At(50.1) << PROMPT
    )


# Updates of the settings.

UPDATE = Update(
    instructions="Speak German.",
    voice="cedar",
    turn_detection=TurnDetection(silence_duration_ms=900),
)
ALL_BUT_THE_VOICE = replace(UPDATE, voice=None)


def test_an_update_that_the_model_accepts_is_stored_for_the_streams_to_come() -> None:
    config = UPDATE.apply_to(CallConfig())
    commands = apply_event(
        SettingsUpdated(config, ("voice",)), Conversation(CallConfig(), ModelAudio.G711), 0.0
    )
    assert commands[0] == SaveSettings(config)


def test_an_update_goes_to_the_model_and_what_became_of_it_onto_the_record() -> None:
    config = UPDATE.apply_to(CallConfig())
    assert (
        ready_call()
        >> UPDATE
        << UpdateSession(UPDATE)
        >> SettingsUpdated(config, ("instructions", "voice", "turn_detection"))
        << AddTimelineEntry("settings updated", "instructions, voice, turn_detection")
        >> Update(instructions="")
        << UpdateSession(Update(instructions=""))
        >> SettingsRefused("invalid_value: session.instructions")
        << Log("warning", "update refused", "invalid_value: session.instructions")
        << AddTimelineEntry("update refused", "invalid_value: session.instructions")
    )


def test_a_voice_that_was_heard_stays_and_the_rest_of_the_update_goes_on() -> None:
    locked = "voice: the agent has already spoken"
    assert (
        quiet_call()
        >> UPDATE
        << Log("warning", "update refused", locked)
        << AddTimelineEntry("update refused", locked)
        << UpdateSession(ALL_BUT_THE_VOICE)
        >> Update(voice="cedar")
        << Log("warning", "update refused", locked)
        << AddTimelineEntry("update refused", locked)
    )


def test_latency_counts_from_the_end_of_speech_as_the_new_detector_has_it() -> None:
    config = ALL_BUT_THE_VOICE.apply_to(CallConfig())
    assert (
        quiet_call()
        >> SettingsUpdated(config, ("turn_detection",))
        << AddTimelineEntry("settings updated", "turn_detection")
        >> CallerSpeechStarted("caller-1")
        >> At(3.0)
        >> CallerSpeechStopped("caller-1")
        >> CallerTranscribed("caller-1", "Ja.")
        << caller_turn(2, "Ja.", 1000, 2100)
    )


# Transferred.

TRANSFER = TransferCall("+15550142", "A caller from Ulm.")


def test_a_quiet_call_is_transferred_at_once() -> None:
    assert quiet_call() >> StartTransfer(to=TRANSFER.to, summary=TRANSFER.summary) << TRANSFER


def test_the_caller_hears_a_last_sentence_before_the_transfer() -> None:
    assert (
        quiet_call()
        >> StartTransfer(to=TRANSFER.to, summary=TRANSFER.summary, words="One moment.")
        << CreateResponse(exact_text="One moment.")
        >> ResponseStarted("resp-2")
        >> words("One moment.", "item-2", "resp-2")
        >> said(100, "item-2", "resp-2")
        << play(100)
        >> done("resp-2")
        >> At(1.05)
        >> At(2.0)
        << agent_turn(2, "One moment.", 1000, 1100)
        << TRANSFER
    )


# Ended.


def test_a_call_ends_when_its_last_sentence_was_heard() -> None:
    assert (
        quiet_call()
        >> FAREWELL
        << CreateResponse(exact_text="Goodbye!")
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
        << CreateResponse(exact_text="Goodbye!")
    )


def test_a_last_sentence_that_never_comes_is_not_waited_for_long() -> None:
    story = quiet_call()
    why = "last words: no response began within 15 s"
    assert (
        story
        >> FAREWELL
        << CreateResponse(exact_text="Goodbye!")
        >> At(20.9)
        << Log("warning", "model gave no reply", why)
        << AddTimelineEntry("no reply", f"{why}; asked again in a new session")
        << Log("warning", "model session lost", "it sent no event")
        << ConnectModel(CallConfig())
        >> At(21.1)
        << EndCall(EndedBy.API)
    )


@pytest.mark.parametrize("by", EndedBy)
def test_an_end_without_words_is_at_once(by: EndedBy) -> None:
    assert ready_call() >> HangUpRequested(by) << EndCall(by)
    assert Playbook(new_bridge()) >> HangUpRequested(by) << EndCall(by)


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (
            TransferFinished("user_busy"),
            "The call could not be transferred: user_busy. The caller is still with you.",
        ),
        (DigitsFailed("not answered"), "The keys could not be pressed: not answered."),
        (MessageLost("timeout"), "The message could not be stored after all: tell the caller."),
    ],
)
def test_the_model_is_told_what_could_not_be_done(failed: SteeringEvent, told: str) -> None:
    assert quiet_call() >> failed << AddMessage(Role.SYSTEM, told) << CreateResponse()


def test_what_needs_words_waits_until_the_model_is_ready() -> None:
    assert (
        Playbook(new_bridge())
        >> STARTED
        >> FAREWELL
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << CreateResponse()
        >> ResponseStarted("resp-1")
        >> Interrupt()
        << CancelResponse("resp-1")
        >> done("resp-1", "cancelled")
        << CreateResponse(exact_text="Goodbye!")
    )


def test_a_transferred_call_is_left() -> None:
    story = quiet_call()
    assert story.bridge.handle(LeaveRequested(), story.now)
    assert story >> FAREWELL >> TransferFinished("late")
