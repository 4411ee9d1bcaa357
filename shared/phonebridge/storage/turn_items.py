"""Stores turns. Turns of one call that are written together share an item, because a write unit has
room for several."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import msgspec

from phonebridge.call.turn import Turn

MAX_TEXT_LENGTH_OF_GROUP = 20_000
"""Maximum number of characters of the turns in one item. A longer turn has its own item."""


@dataclass(frozen=True, slots=True)
class StoredTurns:
    """A JSON list of turns."""

    json: str

    @classmethod
    def of(cls, group: list[Turn]) -> Self:
        return cls(msgspec.json.encode(group).decode())


def group_turns(turns: Iterable[tuple[str, Turn]]) -> Iterator[tuple[str, list[Turn]]]:
    """Group the turns of each call into items."""
    groups: dict[str, list[Turn]] = {}
    for call_id, turn in turns:
        groups.setdefault(call_id, []).append(turn)
    for call_id, group in groups.items():
        yield from ((call_id, each) for each in _split(group))


def _split(turns: list[Turn]) -> Iterator[list[Turn]]:
    group: list[Turn] = []
    for turn in turns:
        if sum(map(_text_length, (*group, turn))) > MAX_TEXT_LENGTH_OF_GROUP and group:
            yield group
            group = []
        group.append(turn)
    if group:
        yield group


def _text_length(turn: Turn) -> int:
    return len(turn.text) + len(turn.unheard)


def sort_key_of(group: list[Turn], now_ms: int) -> str:
    """Return the sort key of a group. It contains the time, because a revised turn is written again
    in another group."""
    first = group[0]
    return f"TURNS#{now_ms:013d}#{first.stream_number}#{first.number:04d}"


def latest_turns(stored: list[StoredTurns]) -> tuple[Turn, ...]:
    """Return the turns in their order. If a turn was stored more than once, the last version
    counts."""
    latest: dict[tuple[int, int], Turn] = {}
    for each in stored:
        for turn in msgspec.json.decode(each.json, type=list[Turn]):
            latest[turn.stream_number, turn.number] = turn
    return tuple(latest[place] for place in sorted(latest))
