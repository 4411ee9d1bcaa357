"""Limits what a call writes to the log. Messages of the other sides are quoted there, and their
length and number are not ours to choose."""

from collections import Counter

from aws_lambda_powertools import Logger

from media_bridge import commands

MAX_DETAIL_LENGTH = 500
"""Maximum number of characters. A fault is part of the call's item in DynamoDB, whose size is
limited."""
MAX_REPEATS = 10
"""After this number of entries of one kind, the log has every second, fourth, eighth …"""


class CallLog:
    def __init__(self, log: Logger, call_id: str) -> None:
        self._log = log
        self._call_id = call_id
        self._counts: Counter[str] = Counter()

    def write(self, level: str, message: str, **fields: object) -> None:
        # Callbacks of a socket run outside the task that named the call.
        getattr(self._log, level)(message, call_id=self._call_id, **fields)

    def write_entry(self, entry: commands.Log) -> None:
        """Write an entry, unless it is repeated too often. An unreadable frame may come fifty times
        a second."""
        self._counts[entry.message] += 1
        times = self._counts[entry.message]
        if times <= MAX_REPEATS:
            self.write(entry.level, entry.message, detail=shorten(entry.detail))
        elif times.bit_count() == 1:
            self.write(entry.level, entry.message, detail=shorten(entry.detail), times=times)


def shorten(detail: str) -> str:
    return detail if len(detail) <= MAX_DETAIL_LENGTH else f"{detail[:MAX_DETAIL_LENGTH]}…"
