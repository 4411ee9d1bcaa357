"""Resource usage of a process and its children, from Linux's /proc (man 5 proc)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12
"""Fields of /proc/pid/stat, counted after the closing bracket of the command."""


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_seconds: float
    pss_mb: float
    """Proportional set size: shared pages are divided among the processes that share them."""


def usage(pid: int) -> Usage:
    tree = list(_tree(pid))
    return Usage(sum(map(_cpu_seconds, tree)), sum(map(_pss_mb, tree)))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_SECOND


def _pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    pss_kb = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return pss_kb / 1024
