"""Decides what happens to the caller when no model can carry the call on.

    stage         what happens                                    what follows
    -----         ------------                                    ------------
    UNUSED        the call fails because of the model             the number of the fallback rings
    TRANSFERRING  the two are connected                           our part of the call is over
    TRANSFERRING  the transfer fails, or takes longer than 60 s   the carrier speaks a sentence
    SPEAKING      the carrier has spoken, or 12 s have passed     the call ends with its first fault

Without a number, the carrier speaks the words of the fallback, unless a clip with them was played.
Without a fallback, the call ends at once.
"""

from enum import Enum, auto

from media_bridge import events
from media_bridge.commands import (
    AddTimelineEntry,
    BridgeCommand,
    FailCall,
    SpeakByCarrier,
    TransferCall,
)
from media_bridge.deadline import NEVER
from media_bridge.speech.clip_words import apology_in
from phonebridge.call.call import blames_model
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import TransferFinished

TRANSFER_TIMEOUT_SECONDS = 60.0
"""The target rings for 30 s at most."""
SPEECH_TIMEOUT_SECONDS = 12.0
"""The shell waits for 10 s at most, and needs some time before to ask the carrier."""


class _Stage(Enum):
    UNUSED = auto()
    TRANSFERRING = auto()
    SPEAKING = auto()
    OVER = auto()


class LastResort:
    def __init__(self) -> None:
        self.due_at = NEVER
        self.is_used = False
        self._stage = _Stage.UNUSED
        self._failed = FailCall("", "")

    def replaces(self, failed: FailCall, config: CallConfig) -> bool:
        """Return whether something else is to be tried before the call ends."""
        has_fallback = config.fallback is not None and not self.is_used
        return has_fallback and blames_model(failed.reason)

    def give_up(self) -> None:
        """Try nothing else, because the caller has left."""
        self.is_used = True

    def begin(
        self, failed: FailCall, config: CallConfig, is_said: bool, now: float
    ) -> list[BridgeCommand]:
        """Begin the fallback. `is_said` is True if the apology or the words of the fallback were
        played."""
        self._failed, fallback = failed, config.fallback
        self.is_used = True
        assert fallback
        why = f"{failed.reason}: {failed.detail}"
        if fallback.transfer_to:
            self._stage, self.due_at = _Stage.TRANSFERRING, now + TRANSFER_TIMEOUT_SECONDS
            used = AddTimelineEntry("fallback", f"transfer to {fallback.transfer_to}: {why}")
            return [used, TransferCall(fallback.transfer_to)]
        used = AddTimelineEntry("fallback", f"say: {why}")
        if is_said or not fallback.say:
            return [used, *self._end()]
        return [used, *self._speak(fallback.say, now)]

    def handle(
        self, event: events.ControlEvent, config: CallConfig, now: float
    ) -> list[BridgeCommand] | None:
        """Handle an event. Return None for events that the bridge handles as before."""
        match self._stage, event:
            case _Stage.TRANSFERRING, TransferFinished(failure=str(why)):
                return self._on_refused(why, config, now)
            case _Stage.SPEAKING, events.CarrierSpoke():
                return self._end()
            case _Stage.SPEAKING, events.StreamStopped() | events.StreamLost():
                return []  # the stream stops because the carrier speaks
            case _:
                return None

    def due(self, config: CallConfig, now: float) -> list[BridgeCommand]:
        """Call it when `due_at` has come."""
        if self._stage is _Stage.TRANSFERRING:
            return self._on_refused("it took too long", config, now)
        return self._end()

    def _on_refused(self, why: str, config: CallConfig, now: float) -> list[BridgeCommand]:
        failed = AddTimelineEntry("fallback failed", why)
        return [failed, *self._speak(apology_in(config.language), now)]

    def _speak(self, words: str, now: float) -> list[BridgeCommand]:
        self._stage, self.due_at = _Stage.SPEAKING, now + SPEECH_TIMEOUT_SECONDS
        return [SpeakByCarrier(words)]

    def _end(self) -> list[BridgeCommand]:
        self._stage, self.due_at = _Stage.OVER, NEVER
        return [self._failed]
