"""An answering machine. It speaks its greeting even if the agent speaks, then beeps and records."""

from collections.abc import Callable

import numpy as np

from simulators.audio.speech import CLIPS, SAMPLE_RATE_HZ, Recognition, Samples, recognise
from simulators.telnyx.behaviour import Person
from simulators.telnyx.person import SILENT_FRAME, PersonConversation

GREETING = "caller_book"
PAUSE_MS = 400
BEEP_MS = 300
BEEP_HZ = 1000
BEEP_LEVEL = 8000


class Machine(PersonConversation):
    def __init__(self, person: Person, notify: Callable[[str, str], None]) -> None:
        super().__init__(person, notify)
        self._saying = np.concatenate((CLIPS[GREETING].samples, _silence(PAUSE_MS), _beep()))

        self._recorded = [SILENT_FRAME]

    @property
    def is_recording(self) -> bool:
        return not len(self._saying)

    @property
    def message(self) -> Recognition:
        """What was recorded after the beep."""
        return recognise(np.concatenate(self._recorded))

    def hear(self, frame: Samples) -> Samples:
        if self.is_recording:
            self._recorded.append(frame)
        return super().hear(frame)

    def _decide(self) -> None:
        """Decide what to do next. The machine does not wait, and hangs up after a long silence."""
        if len(self._saying) or self._ear.speaking:
            self._silent_since_ms = self.now_ms
        elif self.now_ms - self._silent_since_ms >= self._person.silence_timeout_ms:
            self.goodbye = "agent_silent"


def _silence(milliseconds: int) -> Samples:
    return np.zeros(milliseconds * SAMPLE_RATE_HZ // 1000, np.int16)


def _beep() -> Samples:
    time = np.arange(BEEP_MS * SAMPLE_RATE_HZ // 1000) / SAMPLE_RATE_HZ
    return (BEEP_LEVEL * np.sin(2 * np.pi * BEEP_HZ * time)).astype(np.int16)
