"""Limits the caller's audio to real time and a burst.

The model's audio is billed. Without a limit, a client with a valid token could send faster than
real time and raise the bill.
"""

import math

BURST_SECONDS = 2.0
"""Delayed frames arrive together, but their time has passed, so they need no burst. The burst
covers clocks that run fast, and audio that was kept while the model was not ready."""


class PaceLimit:
    """The caller subtracts the size of each payload from `room`, and calls `admits` only if `room`
    is negative. So a frame that arrives in time costs one subtraction."""

    def __init__(self, bytes_per_second: float = 0.0, began: float = 0.0) -> None:
        """Limit the rate. Without a rate there is no limit."""
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
