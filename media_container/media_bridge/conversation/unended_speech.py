"""Ends the speech of a caller when the server never reports its end.

The server's detector normally ends a turn, and until then nothing may be said over the caller. If
the detector fails, our own measurement of the line decides. Measuring every frame of a call would
cost too much, so the meter runs only while somebody speaks for unusually long.
"""

from media_bridge.audio.loudness import LOUD_LEVEL
from media_bridge.commands import BridgeCommand
from media_bridge.conversation.conversation import Conversation
from media_bridge.speech.caller_audio import CallerAudioPath

MEASURE_AFTER_SECONDS = 4.0
"""Most turns are shorter."""
MAX_SPEECH_SECONDS = 90.0
"""Speech on a line that is never quiet ends after this time. People do not speak for so long
without a pause."""
DETECTOR_MARGIN_SECONDS = 3.0
SEMANTIC_MAX_WAIT_SECONDS = 8.0
"""`semantic_vad` waits for at most this time (OpenAI, "Voice activity detection (VAD)")."""


class UnendedSpeech:
    def __init__(self) -> None:
        self._began_at: float | None = None
        self._quiet_since = 0.0
        self._is_measuring = False

    def check(
        self, conversation: Conversation, caller_audio: CallerAudioPath, now: float
    ) -> list[BridgeCommand]:
        """Call it about once a second."""
        if conversation.speech_began_at != self._began_at:
            self._began_at = conversation.speech_began_at
            self._measure(caller_audio, False)
        if self._began_at is None or now < self._began_at + MEASURE_AFTER_SECONDS:
            return []
        if not self._is_measuring:
            self._measure(caller_audio, True)
            self._quiet_since = now
        elif caller_audio.take_level() >= LOUD_LEVEL:
            self._quiet_since = now
        is_quiet = now - self._quiet_since >= _detector_seconds(conversation)
        if not is_quiet and now - self._began_at < MAX_SPEECH_SECONDS:
            return []
        self._measure(caller_audio, False)
        self._began_at = None
        return conversation.caller_fell_silent(
            "the line is quiet" if is_quiet else "it is too long", now
        )

    def _measure(self, caller_audio: CallerAudioPath, on: bool) -> None:
        if on is not self._is_measuring:
            self._is_measuring = on
            caller_audio.measure(on)


def _detector_seconds(conversation: Conversation) -> float:
    """Return how long a working detector needs to notice the end of a turn."""
    wait = conversation.config.turn_detection.silence_seconds
    return DETECTOR_MARGIN_SECONDS + (SEMANTIC_MAX_WAIT_SECONDS if wait is None else wait)
