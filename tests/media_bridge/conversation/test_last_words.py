"""A call is over, and some of what was said is not known yet."""

from dataclasses import replace

import pytest

from media_bridge.bridge import GOODBYE_TIMEOUT_SECONDS
from media_bridge.commands import (
    AddTimelineEntry,
    AppendAudio,
    CancelResponse,
    CommitAudio,
    EndCall,
    FailCall,
    LeaveStream,
    Log,
)
from media_bridge.conversation.last_words import NOTHING_TO_COMMIT, TRANSCRIPT_TIMEOUT_SECONDS
from media_bridge.events import (
    BridgeEvent,
    CallerAudioCommitted,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    CallerTranscriptReceived,
    HangUpRequested,
    LeaveRequested,
    ModelClosed,
    ModelErrorReceived,
    ResponseStarted,
    StreamLost,
    StreamStopped,
    TranscriptFinished,
)
from media_bridge.speech.caller_audio import DETECTION_SECONDS
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.usage import Usage
from tests.support.bridges import (
    agent_turn,
    caller_turn,
    done,
    frame,
    ready_call,
    revised,
    said,
    words,
)
from tests.support.playbook import At, Playbook, pass_time

QUICK = CallConfig(turn_detection=TurnDetection(silence_duration_ms=500))
LEFT = LeaveStream(was_lost=False)
UNKNOWN = caller_turn(1, "", 0, 500)
ENDINGS = [
    (StreamStopped(), LEFT),
    (StreamLost(), LeaveStream(was_lost=True)),
    (LeaveRequested(), LEFT),
]


def unanswered_call() -> Playbook:
    """The caller has just finished a sentence, of which no word is known."""
    story = ready_call(config=QUICK)
    assert (
        story
        >> CallerSpeechStarted("user-1")
        >> At(1.0)
        >> CallerSpeechStopped("user-1")
        >> CallerAudioCommitted("user-1")
    )
    return story


@pytest.mark.parametrize(("ending", "left"), ENDINGS)
def test_a_transcript_that_comes_after_the_end_is_on_record(
    ending: BridgeEvent, left: LeaveStream
) -> None:
    story = unanswered_call()
    assert story >> ending << UNKNOWN << left
    assert not story.bridge.is_over
    assert (
        story
        >> At(1.5)
        >> CallerTranscribed("user-1", "Goodbye then.", Usage(transcribed_input=7))
        << revised(caller_turn(1, "Goodbye then.", 0, 500))
    )
    assert story.bridge.is_over
    assert story.bridge.usage == Usage(transcribed_input=7)


@pytest.mark.parametrize(("ending", "left"), ENDINGS)
def test_nothing_is_waited_for_where_nothing_is_owed(
    ending: BridgeEvent, left: LeaveStream
) -> None:
    story = unanswered_call()
    known = caller_turn(1, "Goodbye then.", 0, 500)
    assert story >> CallerTranscribed("user-1", "Goodbye then.") << known >> ending << left
    assert story.bridge.is_over


def test_a_transcript_that_never_comes_is_waited_for_no_longer_than_that() -> None:
    story = unanswered_call()
    assert story >> StreamStopped() << UNKNOWN << LEFT
    assert story >> At(1.0 + TRANSCRIPT_TIMEOUT_SECONDS - 0.01)
    assert not story.bridge.is_over
    assert story >> At(1.0 + TRANSCRIPT_TIMEOUT_SECONDS)
    assert story.bridge.is_over


def test_a_transcript_that_fails_after_the_end_is_waited_for_no_longer() -> None:
    story = unanswered_call()
    assert story >> StreamStopped() << UNKNOWN << LEFT >> CallerTranscribed("user-1", "")
    assert story.bridge.is_over


def test_of_a_transcript_that_is_not_finished_in_time_the_pieces_are_on_record() -> None:
    story = unanswered_call()
    assert story >> CallerTranscriptReceived("user-1", "Good")
    assert (
        story
        >> StreamStopped()
        << caller_turn(1, "Good", 0, 500, partial=True)
        << LEFT
        >> CallerTranscriptReceived("user-1", "bye")
        >> At(1.0 + TRANSCRIPT_TIMEOUT_SECONDS)
        << revised(caller_turn(1, "Goodbye", 0, 500, partial=True))
    )


def test_the_transcripts_of_several_turns_come_in_any_order() -> None:
    story = unanswered_call()
    assert story >> CallerSpeechStarted("user-2") >> At(2.0) >> CallerSpeechStopped("user-2")
    assert (
        story
        >> StreamStopped()
        << UNKNOWN
        << caller_turn(2, "", 1000, 1500)
        << LEFT
        >> CallerTranscribed("user-2", "Bye.")
        << revised(caller_turn(2, "Bye.", 1000, 1500))
        >> CallerTranscribed("user-1", "Thank you.")
        << revised(caller_turn(1, "Thank you.", 0, 500))
    )
    assert story.bridge.is_over


def speaking() -> Playbook:
    """The caller hangs up in the middle of a sentence, of which a frame still waits for another."""
    story = ready_call()
    assert story >> frame(1) << AppendAudio(frame(1).payload) >> CallerSpeechStarted("user-1")
    story.now = 1.0
    story.bridge.handle(frame(3), story.now)
    return story


def test_what_the_caller_said_last_is_transcribed_without_a_pause_after_it() -> None:
    story = speaking()
    heard = AppendAudio(frame(2).payload + frame(3).payload)
    assert (
        story
        >> StreamStopped()
        << caller_turn(1, "", 0, 1000)
        << LEFT
        << heard
        << CommitAudio()
        >> CallerAudioCommitted("user-1")
        >> At(1.4)
        >> CallerTranscribed("user-1", "Goodbye")
        << revised(caller_turn(1, "Goodbye", 0, 1000))
    )
    assert story.bridge.is_over


def test_an_item_that_was_committed_early_may_have_another_id() -> None:
    story = speaking()
    story.bridge.handle(StreamStopped(), story.now)
    assert (
        story
        >> CallerAudioCommitted("user-9")
        >> CallerTranscribed("user-9", "Goodbye")
        << revised(caller_turn(1, "Goodbye", 0, 1000))
    )
    assert story.bridge.is_over


def test_what_is_too_short_for_an_item_is_not_waited_for() -> None:
    story = speaking()
    story.bridge.handle(StreamStopped(), story.now)
    assert story >> ModelErrorReceived("response_cancel_not_active", "")
    assert not story.bridge.is_over
    assert story >> ModelErrorReceived(NOTHING_TO_COMMIT, "buffer too small")
    assert story.bridge.is_over


def test_the_detector_may_have_been_faster_than_the_commit() -> None:
    story = speaking()
    story.bridge.handle(StreamStopped(), story.now)
    assert story >> CallerSpeechStopped("user-1") >> ModelErrorReceived(NOTHING_TO_COMMIT, "")
    assert not story.bridge.is_over
    assert (
        story
        >> CallerTranscribed("user-1", "Goodbye")
        << revised(caller_turn(1, "Goodbye", 0, 1000))
    )


def test_speech_that_is_told_of_only_after_the_end_is_a_turn_too() -> None:
    story = unanswered_call()
    assert story >> StreamStopped() << UNKNOWN << LEFT
    assert (
        story
        >> CallerSpeechStarted("user-2")
        << CommitAudio()
        >> CallerTranscribed("user-1", "Thank you.")
        << revised(caller_turn(1, "Thank you.", 0, 500))
        >> CallerTranscribed("user-2", "Bye.")
        << caller_turn(2, "Bye.", 1000, 1000)
    )
    assert story.bridge.is_over


LOUD, QUIET = 0x22, 0xFF
"""Codes of PCMU."""


def frames_before_hangup(code: int) -> Playbook:
    story = ready_call(config=QUICK)
    assert story >> CallerTranscribed("user-0", "")
    for chunk in range(1, 11):
        assert story >> At(0.02 * chunk) >> frame(chunk, code) << AppendAudio(bytes([code]) * 160)
    assert story >> StreamStopped() << LEFT
    return story


def test_a_word_that_the_model_has_not_noticed_before_the_hangup_is_on_record() -> None:
    """Its detector reports speech 0.2 s after its beginning, and the report takes its time."""
    story = frames_before_hangup(LOUD)
    assert not story.bridge.is_over
    assert (
        story
        >> At(0.4)
        >> CallerSpeechStarted("user-1")
        << CommitAudio()
        >> CallerAudioCommitted("user-1")
        >> At(1.5)
        >> CallerTranscribed("user-1", "Bye.")
        << caller_turn(1, "Bye.", 400, 400)
    )
    assert story.bridge.is_over


def test_a_noise_that_is_no_word_is_not_waited_for_any_longer() -> None:
    story = frames_before_hangup(LOUD)
    assert story >> At(0.2 + DETECTION_SECONDS - 0.01)
    assert not story.bridge.is_over
    assert story >> At(0.2 + DETECTION_SECONDS)
    assert story.bridge.is_over


def test_a_quiet_line_holds_nothing_up() -> None:
    assert frames_before_hangup(QUIET).bridge.is_over


def test_nobody_answers_a_caller_who_is_gone() -> None:
    story = unanswered_call()
    used = Usage(input_audio=5)
    assert (
        story
        >> ResponseStarted("resp-1")
        >> StreamStopped()
        << UNKNOWN
        << LEFT
        << CancelResponse("resp-1")
        >> ResponseStarted("resp-2")
        << CancelResponse("resp-2")
        >> said(100, response="resp-2")
        >> done("resp-2", "cancelled", usage=used)
    )
    assert story.bridge.usage == used


def answering() -> Playbook:
    """The agent has answered for a second. Its words come later than its sound."""
    story = ready_call()
    assert story >> ResponseStarted("resp-1")
    story.bridge.handle(said(1000), 0.0)
    assert len(list(pass_time(story.bridge, 0.0, 2.0))) == 8
    story.now = 2.0
    return story


@pytest.mark.parametrize(
    "late",
    [
        TranscriptFinished("resp-1", "item-1", "Good morning.", 0),
        replace(done(), transcripts=(TranscriptFinished("resp-1", "item-1", "Good morning."),)),
    ],
)
def test_the_agents_words_are_waited_for_too(late: BridgeEvent) -> None:
    story = answering()
    assert (
        story
        >> StreamStopped()
        << agent_turn(1, "", 0, 2000, interrupted=True)
        << LEFT
        >> At(2.5)
        >> late
        << revised(agent_turn(1, "Good morning.", 0, 2000, interrupted=True))
    )
    assert story.bridge.is_over


def test_words_of_the_agent_that_were_never_finished_are_marked() -> None:
    assert (
        answering()
        >> words("Good")
        >> StreamStopped()
        << agent_turn(1, "Good", 0, 2000, interrupted=True, partial=True)
        << LEFT
        >> done()
        << revised(agent_turn(1, "Good", 0, 2000, interrupted=True))
    )
    assert (
        answering()
        >> words("Good")
        >> ModelClosed(3000, "")
        << agent_turn(1, "Good", 0, 1000, interrupted=True)
        << FailCall("model_lost", "the model's server closed with 3000")
    )


def test_a_model_that_closes_meanwhile_owes_nothing_more() -> None:
    story = unanswered_call()
    assert story >> StreamStopped() << UNKNOWN << LEFT >> ModelClosed(1000, "")
    assert story.bridge.is_over


def test_a_call_that_fails_is_ended_at_once_and_its_words_are_waited_for() -> None:
    story = unanswered_call()
    assert (
        story
        >> ModelErrorReceived("insufficient_quota", "")
        << Log("warning", "model error", "insufficient_quota: ")
        << AddTimelineEntry("no reply", "greeting: refused: insufficient_quota: ; given up")
        << UNKNOWN
        << FailCall("model_failed", "greeting: refused: insufficient_quota: ")
        >> CallerTranscribed("user-1", "Hello?")
        << revised(caller_turn(1, "Hello?", 0, 500))
    )
    assert story.bridge.is_over


# Where we hang up.


def hung_up() -> Playbook:
    story = unanswered_call()
    assert story >> HangUpRequested(EndedBy.API) << EndCall(EndedBy.API)
    return story


def test_where_we_hang_up_the_time_runs_from_then_on() -> None:
    story = hung_up()
    assert story >> At(1.5) >> StreamStopped() << UNKNOWN << LEFT
    assert story >> At(1.0 + TRANSCRIPT_TIMEOUT_SECONDS - 0.01)
    assert not story.bridge.is_over
    assert story >> At(1.0 + TRANSCRIPT_TIMEOUT_SECONDS)
    assert story.bridge.is_over


def test_a_carrier_that_is_slower_than_that_is_not_waited_for_any_longer() -> None:
    story = hung_up()
    assert story >> At(1.0 + GOODBYE_TIMEOUT_SECONDS) << UNKNOWN << LEFT
    assert story.bridge.is_over


def test_speech_that_the_hangup_cuts_off_is_transcribed_at_once() -> None:
    story = speaking()
    assert (
        story
        >> HangUpRequested(EndedBy.API)
        << EndCall(EndedBy.API)
        << AppendAudio(frame(2).payload + frame(3).payload)
        << CommitAudio()
        >> CallerTranscribed("user-1", "Wait")
        << caller_turn(1, "Wait", 0, 0)
        >> At(1.2)
        >> StreamStopped()
        << LEFT
    )
    assert story.bridge.is_over


def test_a_model_that_closes_after_we_hung_up_owes_nothing() -> None:
    story = hung_up()
    assert story >> ModelClosed(1000, "") >> At(1.2) >> StreamStopped() << UNKNOWN << LEFT
    assert story.bridge.is_over


def test_a_process_that_ends_waits_for_words_and_for_nothing_else() -> None:
    story = unanswered_call()
    assert (
        story
        >> HangUpRequested(EndedBy.SHUTDOWN)
        << EndCall(EndedBy.SHUTDOWN)
        >> LeaveRequested()
        << UNKNOWN
        << LEFT
        >> CallerTranscribed("user-1", "Hello?")
        << revised(caller_turn(1, "Hello?", 0, 500))
    )
    assert story.bridge.is_over
