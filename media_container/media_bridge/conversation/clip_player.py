"""Lets the agent speak without the model: a filler while the caller waits, an apology at the end.

Clips go through the playout, as the model's own speech does. So they are turns of the agent, and
the caller may interrupt them. The model receives their words as text.
"""

from dataclasses import replace

from media_bridge.commands import BridgeCommand, FailCall
from media_bridge.deadline import NEVER
from media_bridge.speech.agent_audio import AgentAudio
from media_bridge.speech.clips import SpeechClips
from media_bridge.speech.playout import Playout

SLOW_REPLY_SECONDS = 6.0
"""The filler is played when the caller has waited in silence for so long."""
RETRY_FILLER_SECONDS = 2.5
"""The filler is played so soon after a failed attempt."""
NEXT_FILLER_SECONDS = 10.0
LAST_WORDS_SECONDS = 0.3
"""Sound that the carrier has played is still on its way to the ear (ITU-T G.114)."""

FILLER_ITEM = "filler-clip"
APOLOGY_ITEM = "apology-clip"


class ClipPlayer:
    def __init__(self, speech: AgentAudio, playout: Playout, clips: SpeechClips) -> None:
        self.filler_at = NEVER
        self.end: FailCall | None = None
        """The command that follows the apology."""
        self.end_at = NEVER
        self._failed_at = NEVER
        self._speech = speech
        self._playout = playout
        self._clips = clips
        self._has_begun = False
        self._is_playing = True
        """The apology was still playing at the last check."""
        self._fillers = 0

    def begin(self) -> None:
        """Allow clips, because the media stream has started."""
        self._has_begun = True

    def expect_filler(self, at: float) -> None:
        """Play the filler at that time, or earlier if that was planned."""
        if self._has_begun and self._clips.filler:
            self.filler_at = min(at, self.filler_at)

    def play_filler(self, now: float, is_busy: bool) -> None:
        """Play the filler, or wait while somebody speaks."""
        if self._clips.filler is None:
            return
        if is_busy or self._playout.is_speaking:
            self.filler_at = now + RETRY_FILLER_SECONDS
            return
        self._fillers += 1
        clip = self._clips.filler
        self._speech.play_recorded(f"{FILLER_ITEM}-{self._fillers}", clip.words, clip.sound, now)
        self.filler_at = now + NEXT_FILLER_SECONDS

    def apologize(self, end: FailCall, now: float) -> list[BridgeCommand]:
        """End the call after the apology, or at once if there is none."""
        self.filler_at = NEVER
        clip = self._clips.apology
        if clip is None or not self._has_begun:
            return [end]
        self._speech.play_recorded(APOLOGY_ITEM, clip.words, clip.sound, now)
        self.end, self.end_at, self._failed_at = end, now + LAST_WORDS_SECONDS, now
        return []

    def forget_end(self) -> None:
        """Something else than the end follows the apology."""
        self.end, self.end_at, self.filler_at = None, NEVER, NEVER

    def end_now(self, end: FailCall, now: float) -> FailCall:
        """Return the end with the time since the failure, because it waited for the apology."""
        return replace(end, seconds_ago=now - self._failed_at)

    def due_end(self, end: FailCall, now: float) -> list[BridgeCommand]:
        """Return the end once the apology was played or interrupted."""
        if now < self.end_at:
            return []
        if not (self._playout.is_speaking or self._is_playing):
            return [self.end_now(end, now)]
        self._is_playing = self._playout.is_speaking
        self.end_at = now + LAST_WORDS_SECONDS
        return []
