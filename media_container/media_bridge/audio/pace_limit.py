"""How much of the caller's sound the model gets: as much as time has passed, and a burst. The model
bills what it hears, and whoever has a token could send faster than anybody speaks."""

import math

BURST_SECONDS = 2.0
"""Frames that a network held up come at once. Time has passed for them, so even a long stall needs
no burst; this is for clocks that run fast, and for what was kept while the model was not ready."""


class PaceLimit:
    """Whoever passes a payload subtracts its size from `room`, and asks only if none is left: a
    frame in its time costs a subtraction."""

    def __init__(self, bytes_per_second: float = 0.0, began: float = 0.0) -> None:
        """Without a rate there is no limit."""
        self.drops = 0
        self._rate = bytes_per_second
        self._began = began
        self._granted = BURST_SECONDS * bytes_per_second if bytes_per_second else math.inf
        self.room = self._granted

    def admits(self, size: int, now: float) -> bool:
        """Grant what time has added. Return False for a payload that still finds no room."""
        granted = (now - self._began + BURST_SECONDS) * self._rate
        self.room += granted - self._granted
        self._granted = granted
        if self.room >= 0:
            return True
        self.room += size
        self.drops += 1
        return False
