"""Finds out whether a model's server that sends nothing is still at work.

A server may answer pings and ignore the audio. While nobody speaks, its silence is normal. So if
the line is loud and the server sends nothing, it is asked for something that has no effect and that
every server answers: an update of the session without changes.

    silence of the server on a loud line,
    while it is the caller's turn             what happens
    -------------------------------------     ------------
    8 to 12 s                                 the server is asked
    4 s more                                  the session is lost

A line may be loud without speech. Then the server answers, and is not asked again for 30 s. A
server that has never answered such an update is asked once per call only, so it costs the call one
session at most.
"""

from enum import Enum, auto

from media_bridge.deadline import NEVER
from media_bridge.speech.caller_audio import CallerAudioPath

SILENCE_SECONDS = 8.0
"""A detector reports speech within a second."""
ANSWER_TIMEOUT_SECONDS = 4.0
CHECK_SECONDS = 4.0
"""A check costs as much as several frames, so it is rare."""
MIN_FRAMES = 150
"""Fewer frames since the last check mean that the line pauses."""
NOISE_SECONDS = 30.0


class Suspicion(Enum):
    NONE = auto()
    ASK = auto()
    LOST = auto()


class ServerWatch:
    def __init__(self) -> None:
        self.due_at = NEVER
        self._is_asked = False
        self._has_answered = False
        self._may_ask = True
        self._frames = 0
        """How many frames the caller had sent at the last check."""

    def on_event(self, now: float) -> None:
        """Note that the server has sent something."""
        wait_seconds = NOISE_SECONDS if self._is_asked else SILENCE_SECONDS
        self._has_answered = self._has_answered or self._is_asked
        self._is_asked = False
        self.due_at = now + wait_seconds if self._may_ask else NEVER

    def check(self, is_callers_turn: bool, caller_audio: CallerAudioPath, now: float) -> Suspicion:
        """Call it when it is due."""
        if self._is_asked:
            self._is_asked, self.due_at = False, NEVER
            self._may_ask = self._has_answered
            return Suspicion.LOST
        received, self._frames = caller_audio.frames - self._frames, caller_audio.frames
        is_sending = is_callers_turn and received >= MIN_FRAMES
        self._is_asked = is_sending and caller_audio.was_loud(CHECK_SECONDS)
        self.due_at = now + (ANSWER_TIMEOUT_SECONDS if self._is_asked else CHECK_SECONDS)
        return Suspicion.ASK if self._is_asked else Suspicion.NONE
