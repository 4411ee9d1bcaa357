"""Notices that the process was frozen, before it says anything else.

A frozen process (a paused virtual machine, `SIGSTOP`) does not know how long it was away. The other
tasks may have marked its task as dead meanwhile, and moved its calls. So after a long gap nothing
is handled until the table has answered a heartbeat.
"""

from collections.abc import Callable

from media_bridge.deadline import NEVER

MAX_GAP_SECONDS = 4.5
"""Others mark a task after 6 s of silence. They may have read its last heartbeat up to 1 s before
it was frozen."""


class Pulse:
    """Times are those of the event loop. The loop beats every second."""

    def __init__(self) -> None:
        self.late_at = NEVER
        """Nothing may be handled after this time, until `trust` is called."""
        self.on_doubt: Callable[[], object] = lambda: None
        self._is_doubtful = False

    @property
    def is_doubtful(self) -> bool:
        """Whether the calls of this task may belong to others by now."""
        return self._is_doubtful

    def beat(self, now: float) -> None:
        if self._is_doubtful:
            return
        if now > self.late_at:
            self.doubt()
        else:
            self.late_at = now + MAX_GAP_SECONDS

    def doubt(self) -> None:
        if not self._is_doubtful:
            self._is_doubtful, self.late_at = True, -NEVER
            self.on_doubt()

    def trust(self, now: float) -> None:
        """The table has answered: the calls are still ours, or were left."""
        self._is_doubtful = False
        self.late_at = now + MAX_GAP_SECONDS
