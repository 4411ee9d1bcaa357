"""Finds out whether a model's server that sends nothing is still at work.

A server may answer pings and ignore the audio. While the line is quiet, its silence is normal. If
the line is loud and the server sends nothing, it gets a request that has no effect and that every
server answers: an update of the session without changes.

    silence of the server on a loud line,
    while it is the caller's turn             what happens
    -------------------------------------     ------------
    20 to 24 s                                the server is asked
    4 s more                                  the session is lost

A line may be loud without speech. Then the server answers, and is not asked again for 30 s. A
server that has never answered such an update is asked once per call only, so it costs the call one
session at most.
"""

from enum import Enum, auto

from media_bridge.speech.caller_audio import CallerAudioPath

SILENCE_SECONDS = 20.0
"""A reply may take 15 s, and a detector reports speech within a second."""
ANSWER_TIMEOUT_SECONDS = 4.0
CHECK_SECONDS = 4.0
MIN_FRAMES = 150
"""Fewer frames since the last check mean that the line pauses."""
NOISE_SECONDS = 30.0


class Suspicion(Enum):
    NONE = auto()
    ASK = auto()
    LOST = auto()


class ServerWatch:
    def __init__(self, now: float) -> None:
        self.due_at = now + SILENCE_SECONDS
        self._asked_at: float | None = None
        self._answered_at = now
        self._has_answered = False
        self._may_ask = True
        self._frames = 0
        """How many frames the caller had sent at the last check."""

    def on_answer(self, now: float) -> None:
        """Note that the server has answered the update without changes."""
        self._answered_at, self._has_answered = now, True

    def check(
        self, last_sign_at: float, caller_audio: CallerAudioPath, now: float, *, may_ask: bool
    ) -> Suspicion:
        """Call it when it is due. The server has sent the last event at `last_sign_at`. Nothing may
        be asked unless it is the caller's turn."""
        last_sign_at = max(last_sign_at, self._answered_at)
        if self._asked_at is not None:
            return self._judge(self._asked_at, last_sign_at, now)
        self.due_at = max(now + CHECK_SECONDS, last_sign_at + SILENCE_SECONDS)
        received, self._frames = caller_audio.frames - self._frames, caller_audio.frames
        is_silent = may_ask and self._may_ask and now >= last_sign_at + SILENCE_SECONDS
        if is_silent and received >= MIN_FRAMES and caller_audio.was_loud_lately():
            self._asked_at, self.due_at = now, now + ANSWER_TIMEOUT_SECONDS
            return Suspicion.ASK
        return Suspicion.NONE

    def _judge(self, asked_at: float, last_sign_at: float, now: float) -> Suspicion:
        self._asked_at, self.due_at = None, now + NOISE_SECONDS
        if last_sign_at >= asked_at:
            return Suspicion.NONE
        self._may_ask = self._has_answered
        return Suspicion.LOST
