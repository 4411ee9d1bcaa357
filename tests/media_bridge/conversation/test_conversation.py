"""Who speaks, who is interrupted, and what each of them said."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    CancelResponse,
    ClearPlayback,
    CreateResponse,
    EndCall,
    PlayAudio,
    TruncateItem,
)
from media_bridge.conversation.after_playback import LAST_WORDS_SECONDS, TIMEOUT_SECONDS
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from media_bridge.events import (
    AudioFinished,
    AudioReceived,
    BridgeEvent,
    CallerAudioCommitted,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    CallerTranscriptReceived,
    ResponseEnded,
    ResponseStarted,
    StreamStopped,
    TranscriptFinished,
    TranscriptReceived,
)
from media_bridge.speech.playout import LEAD_MS
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.steering import Interrupt
from phonebridge.call.turn import Latency
from phonebridge.call.usage import Usage
from phonebridge.settings import ModelAudio
from tests.support.bridges import (
    agent_turn,
    caller_turn,
    done,
    play,
    ready_call,
    revised,
    said,
    sound,
    words,
)
from tests.support.playbook import At, Playbook, pass_time, unmarked

SILENCE = Codec.PCMU.silence


def whole(text: str, index: int | None = None) -> TranscriptFinished:
    return TranscriptFinished("resp-1", "item-1", text, index)


def ending(text: str, status: str = "completed") -> ResponseEnded:
    """The end of a response that repeats its words."""
    return replace(done(status=status), transcripts=(whole(text),))


def speaking(seconds: float = 2.0, told: str = "one two three four ") -> Playbook:
    """The agent has two seconds to say and has been at it for some."""
    story = ready_call()
    assert story >> ResponseStarted("resp-1") >> words(told) >> said(2000) << play(100) << play(100)
    while story.now < seconds:
        story.now = round(story.now + 0.1, 3)
        story.bridge.handle(AudioFinished("other"), story.now)
    return story


# Barge-in.


def test_the_caller_interrupts_in_this_order_clear_truncate_and_what_was_heard() -> None:
    assert (
        speaking(1.0)
        >> CallerSpeechStarted("user-1")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 1000)
        << agent_turn(1, "one two", 0, 1000, interrupted=True, unheard="three four")
    )


def test_sound_that_still_comes_of_an_interrupted_response_is_dropped() -> None:
    story = speaking(1.0)
    story.bridge.handle(CallerSpeechStarted("user-1"), story.now)
    assert (
        story
        >> words("five ")
        >> said(500)
        >> AudioFinished("item-1")
        >> done(status="cancelled")
        << revised(agent_turn(1, "one two three", 0, 1000, True, "four five"))
        >> said(500)
        >> At(2.0)
        >> ResponseStarted("resp-2")
        >> said(100, item="item-2", response="resp-2")
        << play(100)
    )


def test_generation_may_be_long_over_when_the_caller_interrupts() -> None:
    story = ready_call()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> said(300)
        << play(100)
        << play(100)
        >> AudioFinished("item-1")
        >> done()
        >> At(0.05)
        >> CallerSpeechStarted("user-1")
        << ClearPlayback()
        << TruncateItem("item-1", 0, 50)
        << agent_turn(1, "", 0, 50, interrupted=True)
    )


def test_every_item_not_heard_to_its_end_is_truncated() -> None:
    story = ready_call()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> said(100, item="item-1")
        << play(100)
        >> AudioFinished("item-1")
        >> said(100, item="item-2")
        << play(100)
        >> AudioFinished("item-2")
        >> said(500, item="item-3")
        >> At(0.09)
        >> CallerSpeechStarted("user-1")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 90)
        << TruncateItem("item-2", 0, 0)
        << TruncateItem("item-3", 0, 0)
        << agent_turn(1, "", 0, 90, interrupted=True)
        << agent_turn(2, "", 0, 90, interrupted=True)
        << agent_turn(3, "", 0, 90, interrupted=True)
    )


def test_an_item_of_which_only_the_padding_is_left_was_heard_whole() -> None:
    # 5 ms of sound fill a message of 20 ms; the padding is none of the model's words.
    story = ready_call()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> said(5)
        >> AudioFinished("item-1")
        << PlayAudio(sound(5) + SILENCE * (8 * 15))
        >> At(0.015)
        >> CallerSpeechStarted("user-1")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << agent_turn(1, "", 0, 5)
    )


@given(
    lengths_ms=st.lists(st.integers(1, 100).map((20).__mul__), min_size=1, max_size=4),
    heard_seconds=st.floats(0, 8, exclude_min=True),
)
def test_whenever_the_caller_cuts_in_each_item_is_truncated_where_it_was_heard_to(
    lengths_ms: list[int], heard_seconds: float
) -> None:
    bridge = ready_call().bridge
    bridge.handle(ResponseStarted("resp-1"), 0.0)
    for number, length in enumerate(lengths_ms):
        bridge.handle(said(length, item=str(number)), 0.0)
    assert all(isinstance(sent, PlayAudio) for _, sent in pass_time(bridge, 0.0, heard_seconds))
    cut = bridge.handle(CallerSpeechStarted("user-1"), heard_seconds)
    ends = [each.audio_end_ms for each in cut if isinstance(each, TruncateItem)]
    left = heard_seconds * 1000
    for end, length in zip(ends, lengths_ms, strict=True):
        assert end <= length
        assert end == pytest.approx(min(max(left, 0), length), abs=1)
        left -= length


def test_before_any_sound_there_is_nothing_to_clear() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> CallerSpeechStarted("user-1")
        << CancelResponse("resp-1")
        >> said(500)
        << TruncateItem("item-1", 0, 0)
        >> said(500)
        >> done(status="cancelled")
    )


def test_an_item_that_begins_after_its_response_was_stopped_is_truncated_to_nothing() -> None:
    story = speaking(1.0)
    story.bridge.handle(CallerSpeechStarted("user-1"), story.now)
    assert (
        story
        >> said(500)
        >> said(500, item="item-2")
        << TruncateItem("item-2", 0, 0)
        >> said(500, item="item-2")
        >> done(status="cancelled")
    )


def test_speaking_ends_with_playback() -> None:
    story = ready_call()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> words("Hello.")
        >> said(100)
        << play(100)
        >> AudioFinished("item-1")
        >> done()
        >> At(0.1)
        << agent_turn(1, "Hello.", 0, 100)
        >> At(0.2)
        >> CallerSpeechStarted("user-1")
    )


def test_two_interruptions_are_counted_as_two() -> None:
    story = speaking(0.5)
    assert (
        story
        >> CallerSpeechStarted("user-1")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 500)
        << agent_turn(1, "one", 0, 500, interrupted=True, unheard="two three four")
        >> CallerSpeechStopped("user-1")
        >> done(status="cancelled")
        >> ResponseStarted("resp-2")
        >> said(300, item="item-2", response="resp-2")
        << play(100)
        << play(100)
        >> CallerSpeechStarted("user-2")
        << ClearPlayback()
        << CancelResponse("resp-2")
        << TruncateItem("item-2", 0, 0)
        << agent_turn(3, "", 500, 500, interrupted=True, latency=Latency(0, 0, 0, 500))
    )
    assert story.bridge.activity.interruptions == 2


# Interrupted by the API.


def test_the_api_interrupts_a_model_that_does_not_know_of_it() -> None:
    assert (
        speaking(1.0)
        >> Interrupt()
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 1000)
        << agent_turn(1, "one two", 0, 1000, interrupted=True, unheard="three four")
    )


def test_a_response_that_is_complete_need_not_be_cancelled() -> None:
    story = speaking(1.0)
    assert (
        story
        >> done()
        >> Interrupt()
        << ClearPlayback()
        << TruncateItem("item-1", 0, 1000)
        << agent_turn(1, "one two", 0, 1000, interrupted=True, unheard="three four")
    )


def test_silence_cannot_be_interrupted() -> None:
    assert ready_call() >> Interrupt()


# Turns and their latency.


def test_a_turn_of_the_caller_and_the_answer_to_it() -> None:
    config = CallConfig(turn_detection=TurnDetection(silence_duration_ms=600))
    assert (
        ready_call(config=config)
        >> At(1.0)
        >> CallerSpeechStarted("user-1")
        >> At(2.6)
        >> CallerSpeechStopped("user-1")
        >> At(2.9)
        >> CallerTranscribed("user-1", "Hi there")
        << caller_turn(1, "Hi there", 1000, 2000)
        >> ResponseStarted("resp-1")
        >> words("Hello")
        >> said(100)
        << play(100)
        >> done()
        >> At(3.0)
        << agent_turn(2, "Hello", 2900, 3000, latency=Latency(300, 0, 0, 600))
    )


def test_only_the_first_item_of_an_answer_ends_the_callers_wait() -> None:
    story = ready_call(config=CallConfig(turn_detection=TurnDetection(silence_duration_ms=200)))
    assert story >> CallerSpeechStarted("user-1") >> At(1.2) >> CallerSpeechStopped("user-1")
    assert (
        story
        >> At(1.4)
        >> ResponseStarted("resp-1")
        >> said(100, item="item-1")
        << play(100)
        >> AudioFinished("item-1")
        >> said(100, item="item-2")
        << play(100)
        >> done()
        >> At(2.0)
        << agent_turn(2, "", 1400, 1500, latency=Latency(200, 0, 0, 200))
        << agent_turn(3, "", 1400, 1600)
    )
    assert story.bridge.activity.turn_latency_ms == 400


def test_each_part_of_the_wait_is_attributed_to_its_cause() -> None:
    """The detector is sure after 200 ms, a function takes its time, and the model thinks. Its first
    delta is too short to be sent on."""
    story = ready_call(config=CallConfig(turn_detection=TurnDetection(silence_duration_ms=200)))
    assert story >> CallerSpeechStarted("user-1") >> At(1.2) >> CallerSpeechStopped("user-1")
    assert (
        story
        >> At(1.25)
        >> ResponseStarted("resp-1")
        >> Interrupt()
        << CancelResponse("resp-1")
        >> done("resp-1", "cancelled")
        >> At(1.9)
        >> ResponseStarted("resp-2")
        >> At(2.3)
        >> said(10, response="resp-2")
        >> At(2.34)
        >> said(90, response="resp-2")
        << play(100)
        >> done("resp-2")
        >> At(2.5)
        << agent_turn(2, "", 2300, 2440, latency=Latency(700, 400, 40, 200))
    )
    assert story.bridge.activity.turn_latency_ms == 1340


def test_a_detector_that_does_not_say_how_long_it_waited_counts_for_nothing() -> None:
    story = ready_call(config=CallConfig(turn_detection=TurnDetection("semantic_vad")))
    assert story >> CallerSpeechStarted("user-1") >> At(1.2) >> CallerSpeechStopped("user-1")
    assert (
        story
        >> At(1.3)
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> done()
        >> At(1.5)
        << agent_turn(2, "", 1300, 1400, latency=Latency(100, 0, 0))
    )


def test_a_caller_who_goes_on_speaking_waits_anew() -> None:
    story = ready_call(config=CallConfig(turn_detection=TurnDetection(silence_duration_ms=200)))
    assert story >> CallerSpeechStarted("user-1") >> At(1.2) >> CallerSpeechStopped("user-1")
    assert story >> At(1.3) >> CallerSpeechStarted("user-2") >> At(2.2)
    assert (
        story
        >> CallerSpeechStopped("user-2")
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> done()
        >> At(2.5)
        << agent_turn(3, "", 2200, 2300, latency=Latency(0, 0, 0, 200))
    )


def test_a_turn_that_could_not_be_transcribed_is_still_a_turn() -> None:
    assert (
        ready_call(config=CallConfig(turn_detection=TurnDetection(silence_duration_ms=200)))
        >> CallerSpeechStarted("user-1")
        >> At(1.0)
        >> CallerSpeechStopped("user-1")
        >> CallerTranscribed("user-1", "")
        << caller_turn(1, "", 0, 800)
    )


def test_the_callers_words_may_be_known_after_the_answer() -> None:
    assert (
        ready_call()
        >> At(1.0)
        >> CallerSpeechStarted("user-1")
        >> At(2.0)
        >> CallerSpeechStopped("user-1")
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> done()
        >> At(2.1)
        << agent_turn(2, "", 2000, 2100, latency=Latency(0, 0, 0, 500))
        >> CallerTranscribed("user-1", "Hi there")
        << caller_turn(1, "Hi there", 1000, 1500)
    )


def test_a_call_that_ends_mid_sentence_keeps_what_was_heard() -> None:
    story = speaking(1.0)
    played = story.bridge.handle(StreamStopped(), story.now)
    known = agent_turn(1, "one two", 0, 1000, True, "three four", partial=True)
    assert known in played


# The best words there are.

HELLO = agent_turn(1, "Good morning.", 0, 100)


@pytest.mark.parametrize(
    "told",
    [
        [words("Good "), words("morning.")],
        [whole("Good morning.", index=0)],
        [whole("Good morning.")],
        [words("Good "), words("morning."), whole("Good morning.", index=0)],
        [words("Good mor"), whole("Good morning.", index=0), whole("Good morning.")],
        [whole("Good morning.", index=0), words("Good "), words("morning.")],
        [words("Good "), words("morning."), whole("", index=0), whole("")],
    ],
)
def test_what_the_agent_says_is_known_by_any_of_its_words_and_never_twice(
    told: list[BridgeEvent],
) -> None:
    story = ready_call()
    assert story >> ResponseStarted("resp-1")
    for event in told:
        assert story >> event
    assert story >> said(100) << play(100) >> ending("Good morning.") >> At(0.5) << HELLO


def test_words_told_only_at_the_end_of_the_response_are_on_record() -> None:
    story = ready_call()
    assert story >> ResponseStarted("resp-1") >> said(100) << play(100)
    assert story >> ending("Good morning.") >> At(0.5) << HELLO


@pytest.mark.parametrize(
    "late", [whole("Good morning.", index=0), whole("Good morning."), ending("Good morning.")]
)
def test_words_that_come_after_the_sound_was_heard_revise_the_record(late: BridgeEvent) -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> AudioFinished("item-1")
        >> At(0.5)
        << agent_turn(1, "", 0, 100)
        >> late
        << revised(HELLO)
        >> late
        >> done()
    )


def test_words_in_pieces_that_come_too_late_revise_the_record_once() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> AudioFinished("item-1")
        >> At(0.5)
        << agent_turn(1, "", 0, 100)
        >> words("Good ")
        >> words("morning.")
        >> done()
        << revised(HELLO)
    )


def test_of_an_interrupted_turn_late_words_tell_what_was_heard() -> None:
    story = speaking(1.0, told="")
    assert (
        story
        >> Interrupt()
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 1000)
        << agent_turn(1, "", 0, 1000, interrupted=True)
        >> ending("one two three four", status="cancelled")
        << revised(agent_turn(1, "one two", 0, 1000, True, "three four"))
    )


def test_words_of_each_part_of_an_item_stand_in_their_order() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> TranscriptReceived("resp-1", "item-1", "morning.", 1)
        >> TranscriptReceived("resp-1", "item-1", "Goo", 0)
        >> whole("Good", index=0)
        >> done()
        >> At(0.5)
        << HELLO
    )


def caller_spoke() -> Playbook:
    story = ready_call()
    assert story >> CallerSpeechStarted("user-1") >> At(1.0) >> CallerSpeechStopped("user-1")
    return story


def partial(*pieces: str) -> list[CallerTranscriptReceived]:
    return [CallerTranscriptReceived("user-1", piece) for piece in pieces]


def test_a_transcript_that_fails_leaves_what_was_known_of_it() -> None:
    assert (
        caller_spoke()
        >> partial("I would ")[0]
        >> partial("like")[0]
        >> CallerTranscribed("user-1", "")
        << caller_turn(1, "I would like", 0, 500, partial=True)
    )


def test_the_final_transcript_replaces_its_pieces() -> None:
    assert (
        caller_spoke()
        >> partial("I wood")[0]
        >> CallerTranscribed("user-1", "I would like to book.")
        << caller_turn(1, "I would like to book.", 0, 500)
        >> partial("I wood")[0]
        >> CallerTranscribed("user-1", "I would like to book.")
    )


def test_pieces_may_come_before_the_end_of_the_speech_and_before_its_beginning() -> None:
    story = ready_call()
    assert story >> partial("One ")[0] >> CallerSpeechStarted("user-1") >> partial("two")[0]
    assert story >> At(1.0) >> CallerSpeechStopped("user-1")
    assert (
        story >> CallerTranscribed("user-1", "") << caller_turn(1, "One two", 0, 500, partial=True)
    )


def test_a_transcript_that_comes_after_its_failure_is_taken() -> None:
    assert (
        caller_spoke()
        >> CallerTranscribed("user-1", "")
        << caller_turn(1, "", 0, 500)
        >> CallerTranscribed("user-1", "Hello.")
        << revised(caller_turn(1, "Hello.", 0, 500))
    )


def test_a_turn_that_began_without_an_id_is_known_by_that_of_its_item() -> None:
    story = ready_call()
    assert story >> CallerSpeechStarted("") >> At(1.0) >> CallerSpeechStopped("")
    assert (
        story
        >> CallerAudioCommitted("user-1")
        >> CallerTranscribed("user-1", "Hello.")
        << caller_turn(1, "Hello.", 0, 500)
        >> CallerAudioCommitted("user-2")
        >> CallerTranscribed("user-2", "Nobody began this.")
    )


def test_usage_adds_up_over_responses_even_interrupted_ones() -> None:
    story = ready_call()
    used = Usage(input_text=10, cached_text=4, output_audio=7)
    assert (
        story
        >> ResponseStarted("resp-1")
        >> CallerSpeechStarted("user-1")
        << CancelResponse("resp-1")
        >> done("resp-1", "cancelled", usage=used)
        >> CallerSpeechStopped("user-1")
        >> ResponseStarted("resp-2")
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2", usage=used)
    )
    assert story.bridge.usage == Usage(input_text=20, cached_text=8, output_audio=14)


def test_a_model_that_goes_on_sending_has_not_stalled() -> None:
    story = ready_call()
    story.bridge.handle(ResponseStarted("resp-1"), 0.0)
    for second in range(1, 40):
        commands = unmarked(story.bridge.handle(said(1000), float(second)))
        assert all(isinstance(command, PlayAudio) for command in commands)


@pytest.mark.parametrize("model_audio", list(ModelAudio))
def test_the_lead_over_playback_is_bounded(model_audio: ModelAudio) -> None:
    story = ready_call(model_audio)
    per_ms = 48 if model_audio is ModelAudio.PCM24K else 8
    story.bridge.handle(ResponseStarted("resp-1"), 0.0)
    burst = AudioReceived("resp-1", "item-1", 0, bytes(10_000 * per_ms))
    sent = [each for each in story.bridge.handle(burst, 0.0) if isinstance(each, PlayAudio)]
    assert sum(len(command.payload) for command in sent) == LEAD_MS * 8


@pytest.mark.parametrize("codec", Codec)
def test_the_agent_is_spoken_in_the_codec_that_was_announced(codec: Codec) -> None:
    story = ready_call(ModelAudio.PCM24K, CallConfig(codec=codec.value))
    story.bridge.handle(ResponseStarted("resp-1"), 0.0)
    silent = AudioReceived("resp-1", "item-1", 0, bytes(48 * 200))
    first, *_ = (each for each in story.bridge.handle(silent, 0.0) if isinstance(each, PlayAudio))
    assert first.payload == codec.silence * (100 * codec.bytes_per_ms)


def test_what_waits_for_quiet_is_done_when_the_last_word_was_heard() -> None:
    conversation = Conversation(CallConfig(), ModelAudio.G711)
    conversation.request_response(CreateResponse(exact_text="Goodbye."), Purpose.GOODBYE, 0.0)
    conversation.after_playback(EndCall(EndedBy.API), 0.0)
    conversation.handle(ResponseStarted("resp-1"), 0.1)
    conversation.handle(said(500), 0.2)
    conversation.handle(done(), 0.2)
    now = 0.2
    while EndCall(EndedBy.API) not in conversation.due(now):
        now = max(now, conversation.next_deadline())
    assert now == pytest.approx(0.7 + LAST_WORDS_SECONDS)


def test_what_waits_for_quiet_does_not_wait_for_ever() -> None:
    conversation = Conversation(CallConfig(), ModelAudio.G711)
    conversation.request_response(CreateResponse(exact_text="Goodbye."), Purpose.GOODBYE, 0.0)
    conversation.after_playback(EndCall(EndedBy.API), 0.0)
    assert EndCall(EndedBy.API) not in conversation.due(TIMEOUT_SECONDS - 0.1)
    assert conversation.due(TIMEOUT_SECONDS) == [EndCall(EndedBy.API)]


BRIDGE_DECIDES = CallConfig(
    turn_detection=TurnDetection(create_response=False, interrupt_response=False)
)


def test_where_the_model_neither_stops_nor_answers_by_itself_the_bridge_tells_it_to() -> None:
    assert (
        ready_call(config=BRIDGE_DECIDES)
        >> ResponseStarted("resp-1")
        >> words("one two three four")
        >> said(2000)
        << play(100)
        << play(100)
        >> At(0.05)
        >> CallerSpeechStarted("user-1")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 50)
        << agent_turn(1, "", 0, 50, interrupted=True, unheard="one two three four")
        >> CallerSpeechStopped("user-1")
        >> done(status="cancelled")
        << CreateResponse()
        >> ResponseStarted("resp-2")
        >> Interrupt()
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
        >> CallerSpeechStarted("user-2")
        >> CallerSpeechStopped("user-2")
        << CreateResponse()
    )
