"""Frames that pause, stop, or never come."""

from media_bridge.commands import FailCall
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.frame_watch import FrameWatch
from media_bridge.deadline import NEVER
from media_bridge.speech.caller_audio import GAP_TIMEOUT_SECONDS, CallerAudioPath
from phonebridge.call.config import CallConfig
from phonebridge.settings import ModelAudio

CALLER_AUDIO = CallerAudioPath(ModelAudio.G711)
CONVERSATION = Conversation(CallConfig(), ModelAudio.G711)
SILENT = FailCall("media_silent", "the carrier sends no audio")


def watch_from(now: float) -> FrameWatch:
    watch = FrameWatch(60.0)
    watch.begin(now)
    return watch


def test_nothing_is_expected_before_the_stream_starts() -> None:
    assert FrameWatch(60.0).due_at == NEVER


def test_a_stream_without_any_frame_fails_after_the_timeout() -> None:
    watch = watch_from(10.0)
    assert watch.due_at == 70.0
    assert watch.check(CALLER_AUDIO, CONVERSATION, 70.0) == [SILENT]
    assert watch.due_at == NEVER


def test_frames_that_go_on_move_the_next_look() -> None:
    watch = watch_from(0.0)
    watch.expect_frames(1.0)
    watch.last_frame_at = 1.5
    assert watch.due_at == 1.0 + GAP_TIMEOUT_SECONDS
    assert watch.check(CALLER_AUDIO, CONVERSATION, watch.due_at) == []
    assert watch.due_at == 1.5 + GAP_TIMEOUT_SECONDS


def test_later_frames_do_not_move_the_look_for_the_first() -> None:
    watch = watch_from(0.0)
    watch.expect_frames(1.0)
    watch.expect_frames(1.5)
    assert watch.due_at == 1.0 + GAP_TIMEOUT_SECONDS


def test_a_line_on_hold_sends_no_frames_and_goes_on() -> None:
    watch = watch_from(0.0)
    watch.expect_frames(1.0)
    watch.last_frame_at = 1.0
    for _ in range(int(600 / GAP_TIMEOUT_SECONDS)):
        assert watch.check(CALLER_AUDIO, CONVERSATION, watch.due_at) == []
    assert watch.due_at > 600
