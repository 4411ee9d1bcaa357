"""A test clock that moves only when a test advances it."""

from dataclasses import dataclass


@dataclass
class Clock:
    now_ms: int = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)
