"""Notices when the caller's frames pause, and when they never come.

A line on hold may pause for a long time without sending frames. Whether its socket still works is
found out by pings (`runtime/server.py`). The watch looks every 0.75 s. To look at every frame would
cost fifty times as much.
"""

from media_bridge.commands import BridgeCommand, FailCall
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.unended_speech import UnendedSpeech
from media_bridge.deadline import NEVER
from media_bridge.speech.caller_audio import GAP_TIMEOUT_SECONDS, CallerAudioPath


class FrameWatch:
    def __init__(self, timeout_seconds: float) -> None:
        self.last_frame_at = 0.0
        """The bridge writes it at every frame."""
        self.due_at = NEVER
        self._timeout = timeout_seconds
        self._has_frames = False
        self._unended_speech = UnendedSpeech()

    def begin(self, now: float) -> None:
        """Expect frames, because the stream started."""
        self.last_frame_at = now
        self.due_at = now + self._timeout

    def expect_frames(self, now: float) -> None:
        """Look for pauses from now on, because the first frame came."""
        if not self._has_frames:
            self._has_frames = True
            self.due_at = now + GAP_TIMEOUT_SECONDS

    def check(
        self, caller_audio: CallerAudioPath, conversation: Conversation, now: float
    ) -> list[BridgeCommand]:
        """Call it when it is due."""
        if not self._has_frames:
            self.due_at = NEVER
            return [FailCall("media_silent", "the carrier sends no audio")]
        has_frame = self.last_frame_at + GAP_TIMEOUT_SECONDS > now
        self.due_at = (self.last_frame_at if has_frame else now) + GAP_TIMEOUT_SECONDS
        return [
            *caller_audio.look_for_gap(self.last_frame_at, conversation.caller_is_speaking, now),
            *self._unended_speech.check(conversation, caller_audio, now),
        ]
