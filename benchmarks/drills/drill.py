"""What every drill is: a name, the fault it belongs to, and a run that counts.

Another kind of fault joins the table by a class with these members, and a line in `catalogue.py`.
"""

from typing import Protocol

import msgspec


class KindResult(msgspec.Struct, frozen=True):
    """What became of the calls of one kind in one run."""

    kind: str
    calls: int
    lost: int
    """Calls that our side ended although they should have gone on, or left without their media."""
    moved: int
    """Healthy calls that got another media stream, although no container and no socket was lost."""
    wrong: int
    """Records that are wrong at the end of the run."""
    commands_lost: int
    commands_repeated: int
    legs_open_late: int
    """Legs that were still open ten seconds after the fault, although their end had been
    requested."""
    silences: tuple[float, ...]
    """The longest silence of each caller in seconds."""
    clean_seconds: tuple[float, ...]
    """How long after the fault each record was wrong. Records that stay wrong are not in it."""


class DrillResult(msgspec.Struct, frozen=True):
    kinds: tuple[KindResult, ...]
    notes: tuple[str, ...] = ()
    """What was lost, wrong or repeated, in words."""
    runs: int = 1

    @property
    def is_clean(self) -> bool:
        return not any(
            each.lost
            + each.moved
            + each.wrong
            + each.commands_lost
            + each.commands_repeated
            + each.legs_open_late
            for each in self.kinds
        )


class Drill(Protocol):
    @property
    def name(self) -> str:
        """Unique. The result is stored under it."""

    @property
    def fault(self) -> str:
        """The row of the table that counts this run."""

    def run(self) -> DrillResult: ...
