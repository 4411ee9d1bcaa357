"""Commands that wait until everything has been played: a hangup after the goodbye, a transfer after
its announcement."""

from dataclasses import dataclass, field

from media_bridge.commands import BridgeCommand, EndCall
from media_bridge.deadline import NEVER

TIMEOUT_SECONDS = 20.0
"""The commands are due after this time even if playback has not finished."""
LAST_WORDS_SECONDS = 0.3
"""Sound that the carrier has played needs up to 400 ms to the ear on a bad line (ITU-T G.114). A
hangup would overtake it."""


@dataclass(slots=True)
class AfterPlayback:
    _planned: list[BridgeCommand] = field(default_factory=list)
    _latest: float = NEVER
    _quiet_since: float | None = None

    def __bool__(self) -> bool:
        return bool(self._planned)

    def plan(self, command: BridgeCommand, latest: float) -> None:
        self._planned.append(command)
        self._latest = latest

    def withdraw(self, command: BridgeCommand) -> bool:
        """Forget the command. Return whether it was planned."""
        if command not in self._planned:
            return False
        self._planned = [each for each in self._planned if each != command]
        if not self._planned:
            self._latest, self._quiet_since = NEVER, None
        return True

    def due_at(self) -> float:
        if self._quiet_since is None:
            return self._latest
        return min(self._quiet_since + self._pause, self._latest)

    def take(self, is_quiet: bool, now: float) -> list[BridgeCommand]:
        """Take the commands that are due now. Call it after every event."""
        if not self._planned:
            return []
        if not is_quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        if now < self.due_at():
            return []
        taken, self._planned = self._planned, []
        self._latest, self._quiet_since = NEVER, None
        return taken

    @property
    def _pause(self) -> float:
        hangs_up = any(isinstance(each, EndCall) for each in self._planned)
        return LAST_WORDS_SECONDS if hangs_up else 0.0
