"""A share of a core for one program, as a container engine grants it: by a quota of the Linux
scheduler (cgroups, "CFS bandwidth control"). Needs root.

A program that has used its share within a period of 100 ms stands still until the next one. This is
harsher than a slow core: with a quarter, it can stand still for 75 ms.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PERIOD_US = 100_000
"""The period of container engines."""
HIERARCHY = Path("/sys/fs/cgroup")
ALL_OF_A_CORE = 1.0


@dataclass(frozen=True, slots=True)
class Quota:
    group: Path

    @property
    def wrapper(self) -> tuple[str, ...]:
        """The beginning of a command. The shell enters the group and becomes the program, which so
        keeps its process id."""
        return ("sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.group / "cgroup.procs"))

    def read(self) -> tuple[int, int]:
        """Return the periods in which the program ran, and those in which it stood still."""
        lines = (line.split() for line in (self.group / "cpu.stat").read_text().splitlines())
        values = {name: int(value) for name, value in lines}
        return values["nr_periods"], values["nr_throttled"]


class Watch:
    """Reads every second how often a program has stood still."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._read = [quota.read()]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(1.0):
            self.note()

    def note(self) -> None:
        self._read.append(self._quota.read())

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def standstill_percent(self, seconds: int, before_end: int) -> float:
        """Return the share of periods in so many seconds, which ended so long ago."""
        last = len(self._read) - 1 - before_end
        first = max(0, last - seconds)
        periods, still = (
            after - before
            for before, after in zip(self._read[first], self._read[last], strict=True)
        )
        return 100 * still / periods if periods else 0.0


@contextmanager
def throttled(share: float, hierarchy: Path = HIERARCHY) -> Iterator[Quota]:
    """Yield a quota: a program that is started with it gets this share of a core at most."""
    group = _parent(hierarchy) / f"phonebridge-{os.getpid()}"
    group.mkdir()
    try:
        _set_quota(group, round(share * PERIOD_US))
        yield Quota(group)
    finally:
        with suppress(OSError):  # left to the system while a process still ends
            group.rmdir()


def _parent(hierarchy: Path) -> Path:
    """Return where groups for CPU time are: of their own (version 1), or with all others."""
    if (hierarchy / "cgroup.controllers").exists():
        (hierarchy / "cgroup.subtree_control").write_text("+cpu")
        return hierarchy
    return hierarchy / "cpu"


def _set_quota(group: Path, quota_us: int) -> None:
    if (group.parent / "cgroup.controllers").exists():
        (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(quota_us))
