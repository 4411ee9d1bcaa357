"""The playout clock, which turns what the agent's side sent into what the caller hears, in real
time."""

from collections import deque

import numpy as np

from simulators.audio.speech import Samples
from simulators.telnyx.person import FRAME_MS, SILENT_FRAME


class PlayoutQueue:
    """Audio that was sent to the caller and is not played yet. Marks keep their place in the
    queue."""

    def __init__(self) -> None:
        self._queue: deque[Samples | str] = deque()
        self._sounding_marks: list[str] = []
        self._sounding = False
        self.sounded_ms = 0
        """Duration of the audio that was played without a gap."""

    @property
    def is_empty(self) -> bool:
        return not self._queue

    def add(self, samples: Samples) -> None:
        self._queue.append(samples)

    def mark(self, name: str) -> list[str]:
        """Add a mark. Return the marks to send back at once: this one, if nothing is left to
        play."""
        if self._queue:
            self._queue.append(name)
        elif self._sounding:
            self._sounding_marks.append(name)
        else:
            return [name]
        return []

    def clear(self) -> list[str]:
        queued = [item for item in self._queue if isinstance(item, str)]
        marks = [*self._sounding_marks, *queued]
        self._queue.clear()
        self._sounding_marks = []
        self._sounding = False
        self.sounded_ms = 0
        return marks

    def play(self) -> tuple[Samples, list[str]]:
        """Return the next frame, and the marks that the previous frame has passed."""
        passed, self._sounding_marks = self._sounding_marks, []
        played: list[Samples] = []
        missing = len(SILENT_FRAME)
        while self._queue and (missing or isinstance(self._queue[0], str)):
            item = self._queue.popleft()
            if isinstance(item, str):
                self._sounding_marks.append(item)
                continue
            played.append(item[:missing])
            if len(item) > missing:
                self._queue.appendleft(item[missing:])
            missing -= len(played[-1])
        self._sounding = bool(played)
        self.sounded_ms = self.sounded_ms + FRAME_MS if played else 0
        return np.concatenate((*played, SILENT_FRAME[:missing])), passed
