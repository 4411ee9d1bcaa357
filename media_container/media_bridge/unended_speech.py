"""A caller who seems to speak for ever, because the server never tells that they stopped.

The server's detector ends a turn by itself, and until then nothing may be said over the caller. If
it fails to do so, our own measurement of the line decides. Measuring every frame of a call would
cost too much, so the meter runs only while somebody speaks for unusually long.
"""

from media_bridge.commands import BridgeCommand
from media_bridge.conversation import Conversation
from media_bridge.hearing import Hearing

MEASURE_AFTER_SECONDS = 4.0
"""Most turns are shorter."""
CHECK_SECONDS = 1.0
MAX_SPEECH_SECONDS = 90.0
"""On a line that is never quiet. Nobody speaks for so long without a pause."""
LOUD_LEVEL = 300
"""Mean amplitude of 16-bit samples, about -40 dBFS: more than a line's noise, less than speech."""
DETECTOR_MARGIN_SECONDS = 3.0
SEMANTIC_MAX_WAIT_SECONDS = 8.0
"""What `semantic_vad` waits at most (OpenAI, "Voice activity detection (VAD)")."""


class UnendedSpeech:
    """Times are seconds of the bridge's clock."""

    def __init__(self) -> None:
        self.due_at: float | None = None
        self._began_at: float | None = None
        self._quiet_since = 0.0
        self._is_measuring = False

    def watch(self, talk: Conversation, hearing: Hearing, now: float) -> list[BridgeCommand]:
        """To be called whenever something has happened, and when `due_at` has come."""
        if talk.speech_began_at is self._began_at is None:
            return []
        if talk.speech_began_at != self._began_at:
            self._began_at = talk.speech_began_at
            self._measure(hearing, False)
            self.due_at = None if self._began_at is None else self._began_at + MEASURE_AFTER_SECONDS
        if self.due_at is None or now < self.due_at or self._began_at is None:
            return []
        self.due_at = now + CHECK_SECONDS
        if not self._is_measuring:
            self._quiet_since = now
            self._measure(hearing, True)
            return []
        if hearing.take_level() >= LOUD_LEVEL:
            self._quiet_since = now
        return self._judge(talk, hearing, self._began_at, now)

    def _judge(
        self, talk: Conversation, hearing: Hearing, began_at: float, now: float
    ) -> list[BridgeCommand]:
        is_quiet = now - self._quiet_since >= _detector_seconds(talk)
        if not is_quiet and now - began_at < MAX_SPEECH_SECONDS:
            return []
        self._measure(hearing, False)
        self.due_at = self._began_at = None
        return talk.caller_fell_silent("the line is quiet" if is_quiet else "it is too long", now)

    def _measure(self, hearing: Hearing, on: bool) -> None:
        if on is not self._is_measuring:
            self._is_measuring = on
            hearing.measure(on)


def _detector_seconds(talk: Conversation) -> float:
    """How long a detector that works needs to notice the end of a turn."""
    wait = talk.config.turn_detection.seconds_to_be_sure
    return DETECTOR_MARGIN_SECONDS + (SEMANTIC_MAX_WAIT_SECONDS if wait is None else wait)
