"""Greetings that are kept, and calls that begin with a kept one."""

import pickle
from dataclasses import replace

import pytest

from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddMessage,
    AppendAudio,
    CacheGreeting,
    ClearPlayback,
    ConfigureModel,
    CreateResponse,
    LeaveStream,
    RecordStart,
    Role,
)
from media_bridge.conversation.greeting import MAX_CACHED_MS, CachedGreeting, GreetingRecorder
from media_bridge.events import (
    CallerSpeechStarted,
    ConversationEvent,
    ModelConnected,
    ModelReady,
    ResponseStarted,
    StreamStopped,
    TranscriptFinished,
)
from phonebridge.call.call import Call
from phonebridge.settings import ModelAudio
from tests.support.bridges import (
    CALL,
    PREPARED,
    RINGING,
    STARTED,
    agent_turn,
    done,
    frame,
    play,
    said,
    sound,
    words,
)
from tests.support.playbook import At, Playbook

KEPT = CachedGreeting("One two three four five", sound(500, 0x33))


def kept_call(call: Call = CALL, model_audio: ModelAudio = ModelAudio.G711) -> Playbook:
    return Playbook(Bridge(call, PREPARED, model_audio, 0.0, KEPT))


# A call that begins with a kept greeting.


def heard_before_the_model_came(model_audio: ModelAudio = ModelAudio.G711) -> Playbook:
    story = kept_call(model_audio=model_audio)
    assert (
        story
        >> STARTED
        << play(100, 0x33)
        << play(100, 0x33)
        >> At(0.6)
        << play(100, 0x33)
        << play(100, 0x33)
        << play(100, 0x33)
        << agent_turn(1, KEPT.words, 0, 500)
    )
    return story


@pytest.mark.parametrize("model_audio", ModelAudio)
def test_a_cached_greeting_is_played_before_the_model_is_ready_and_then_sent_to_it(
    model_audio: ModelAudio,
) -> None:
    story = heard_before_the_model_came(model_audio)
    assert (
        story
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << AddMessage(Role.ASSISTANT, KEPT.words)
        >> At(30.0)
    )
    assert story.bridge.activity.first_audio_ms == 0


def test_the_model_gets_the_cached_greeting_as_text_once_it_was_played() -> None:
    assert (
        kept_call(RINGING)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        >> At(4.0)
        >> STARTED
        << RecordStart()
        << play(100, 0x33)
        << play(100, 0x33)
        >> At(4.45)
        << play(100, 0x33)
        << play(100, 0x33)
        << play(100, 0x33)
        >> At(4.6)
        << agent_turn(1, KEPT.words, 0, 500)
        << AddMessage(Role.ASSISTANT, KEPT.words)
    )


@pytest.mark.parametrize("model_audio", ModelAudio)
def test_of_an_interrupted_cached_greeting_the_model_gets_the_played_words(
    model_audio: ModelAudio,
) -> None:
    assert (
        kept_call(RINGING, model_audio)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        >> STARTED
        << RecordStart()
        << play(100, 0x33)
        << play(100, 0x33)
        >> At(0.2)
        << play(100, 0x33)
        << play(100, 0x33)
        >> CallerSpeechStarted("item-c")
        << ClearPlayback()
        << agent_turn(1, "One two", 0, 200, interrupted=True, unheard="three four five")
        << AddMessage(Role.ASSISTANT, "One two")
    )


def test_a_cached_greeting_that_was_not_played_is_not_sent_to_the_model() -> None:
    assert (
        kept_call(RINGING)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        >> STARTED
        << RecordStart()
        << play(100, 0x33)
        << play(100, 0x33)
        >> CallerSpeechStarted("item-c")
        << ClearPlayback()
        << agent_turn(1, "", 0, 0, interrupted=True, unheard="One two three four five")
    )


def test_the_model_is_told_of_it_before_it_hears_the_caller() -> None:
    assert (
        heard_before_the_model_came()
        >> frame(1)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << AddMessage(Role.ASSISTANT, KEPT.words)
        << AppendAudio(frame(1).payload)
    )


def test_a_call_that_ends_in_its_greeting_tells_nobody() -> None:
    story = kept_call()
    assert story >> STARTED << play(100, 0x33) << play(100, 0x33)
    story.now = 0.1
    assert (
        story
        >> StreamStopped()
        << agent_turn(1, "One", 0, 100, interrupted=True, unheard="two three four five")
        << LeaveStream(was_lost=False)
    )


def test_what_the_model_itself_says_is_not_told_to_it() -> None:
    story = heard_before_the_model_came()
    for event in (ModelConnected(), ModelReady()):
        story.bridge.handle(event, story.now)
    assert (
        story
        >> ResponseStarted("resp-1")
        >> words("Yes")
        >> said(100)
        << play(100)
        >> done()
        >> At(0.75)
        << agent_turn(2, "Yes", 600, 700)
    )


# What is kept.


def tape(wanted: str = "Good morning!") -> GreetingRecorder:
    return GreetingRecorder(wanted, bytes_per_ms=8)


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_tape_that_has_done_its_part_takes_no_room(status: str) -> None:
    done_with = tape()
    hear(done_with, ResponseStarted("resp-1"), said(10_000), done(status=status))
    assert len(pickle.dumps(done_with)) < 1_000


def hear(tape: GreetingRecorder, *events: ConversationEvent) -> list[CacheGreeting]:
    return [kept for event in events if (kept := tape.record(event))]


SAID: tuple[ConversationEvent, ...] = (
    ResponseStarted("resp-1"),
    words("Good "),
    said(300),
    words("morning"),
    said(200, code=0x12),
)


def test_a_greeting_that_came_whole_is_kept() -> None:
    whole = CacheGreeting("Good morning", sound(300) + sound(200, 0x12))
    assert hear(tape("Good morning!"), *SAID, done()) == [whole]
    assert hear(tape("good, MORNING"), *SAID, done()) == [whole], "which is heard alike"


def test_its_words_may_be_told_at_its_end_only() -> None:
    opening = (ResponseStarted("resp-1"), said(300))
    words_told = TranscriptFinished("resp-1", "item-1", "Good morning", 0)
    whole = CacheGreeting("Good morning", sound(300))
    assert hear(tape(), *opening, words_told, done()) == [whole]
    assert hear(tape(), *opening, replace(done(), transcripts=(words_told,))) == [whole]
    assert hear(tape(), *opening, words("Good mor"), words_told, done()) == [whole]


@pytest.mark.parametrize("status", ["cancelled", "incomplete", "failed"])
def test_a_greeting_that_is_incomplete_is_not_cached(status: str) -> None:
    assert hear(tape(), *SAID, done(status=status)) == []


def test_a_greeting_with_other_words_or_several_items_or_no_end_is_not_cached() -> None:
    assert hear(tape("Good evening"), *SAID, done()) == []
    assert hear(tape(), *SAID, said(20, item="item-2"), done()) == []
    assert hear(tape(), *SAID, said(MAX_CACHED_MS), said(20), done()) == []


def test_only_the_first_response_is_recorded() -> None:
    later = [replace(event, response_id="resp-2") for event in (said(100), done())]
    assert hear(tape(), *SAID, ResponseStarted("resp-2"), *later) == []


@pytest.mark.parametrize("call", [CALL, RINGING])
def test_a_prepared_call_keeps_its_greeting(call: Call) -> None:
    bridge = Bridge(call, PREPARED, ModelAudio.G711, 0.0)
    opening = () if call is RINGING else (STARTED,)
    for event in (*opening, ModelConnected(), ModelReady()):
        commands = bridge.handle(event, 0.0)
    assert commands[-1] == CreateResponse(PREPARED.greeting, allow_tools=call is not RINGING)
    kept = [each for event in (*SAID, done()) for each in bridge.handle(event, 0.1)]
    assert CacheGreeting("Good morning", sound(300) + sound(200, 0x12)) in kept


def test_of_l16_only_what_fits_into_an_item_is_kept() -> None:
    tape = GreetingRecorder.of(replace(PREPARED, codec="L16"), ModelAudio.PCM24K)
    assert tape is not None
    assert tape.max_ms == 12_000
