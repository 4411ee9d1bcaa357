"""Changes genuine messages into ones that their reader does not expect. Pure: a seed decides.

Most changes keep the message readable, because random bytes are refused by the first check and
reach nothing behind it.
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

DEEP = 2_000
"""Levels of nesting. The parsers that are used here refuse more than about a thousand."""
VERY_DEEP = 100_000

ABSURD: Sequence[object] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    -1e308,
    5e-324,
    0.1,
    float("nan"),
    float("inf"),
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "null",
    "true",
    "{}",
    "[",
    "\ud800",
    "\udfff\ud800",
    "a\ud83d",
    "\x00",
    "\uffff",
    "\ufeff",
    "\u202e",
    "x" * 2_048,
    "é" * 1_025,
    "\U0001f600" * 600,
    "x" * 70_000,
    "A",
    "QQ",
    "QQ=",
    "QUI",
    "====",
    "QUJD\n",
    "_-_-",
    "../..",
    "CALL#1",
    "#",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "2026-02-30T25:61:61Z",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    [{}] * 300,
    ["x"] * 3_000,
)
_BAD_UTF8 = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82")
_RUNS = (b"[", b'{"a":', b"9", b'"', b"\\", b"\x00", b"{}", b" ")


class Mutator:
    """`samples` are genuine messages. They are also the material of which others are made."""

    def __init__(self, chance: Random, samples: Sequence[bytes]) -> None:
        self._chance = chance
        self._samples = samples

    def sample(self) -> bytes:
        return self._chance.choice(self._samples)

    def mutate(self, message: bytes) -> bytes:
        """Change a message, in structure or in its bytes."""
        if self._chance.random() < 0.75:
            message = self._with_other_structure(message)
        if self._chance.random() < 0.3:
            message = self._chance.choice(_BYTE_CHANGES)(self._chance, message)
        return message

    def value(self) -> Any:
        """Return any JSON value, alone or within others."""
        chosen = deepcopy(self._chance.choice(ABSURD))  # it may be changed itself
        match self._chance.randrange(12):
            case 0:
                return [deepcopy(chosen) for _ in range(self._chance.randrange(4))]
            case 1:
                return {str(self._chance.choice(ABSURD))[:50]: chosen}
            case 2:
                return self._nested(chosen)
            case 3:
                return self._part_of_sample()
            case _:
                return chosen

    def _nested(self, value: object) -> object:
        for _ in range(self._chance.choice((3, 60, 400))):
            value = [value] if self._chance.random() < 0.5 else {"a": value}
        return value

    def _part_of_sample(self) -> object:
        try:
            value = json.loads(self.sample())
        except ValueError:
            return None
        while isinstance(value, dict | list) and value and self._chance.random() < 0.8:
            value = self._chance.choice(list(value.values() if isinstance(value, dict) else value))
        return value

    def _with_other_structure(self, message: bytes) -> bytes:
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            return self._chance.choice(_BYTE_CHANGES)(self._chance, message)
        for _ in range(self._chance.choice((1, 1, 1, 2, 4))):
            value = self._changed(value)
        return self._write(value)

    def _changed(self, value: Any) -> Any:
        """Change one place of a value, at any depth."""
        if not isinstance(value, dict | list) or not value or self._chance.random() < 0.02:
            return self.value()
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        place = self._chance.choice(places)
        if isinstance(value[place], dict | list) and self._chance.random() < 0.8:
            value[place] = self._changed(value[place])
            return value
        return self._changed_at(value, place)

    def _changed_at(self, value: Any, place: Any) -> Any:
        match self._chance.randrange(8):
            case 0:
                del value[place]
            case 1 if isinstance(value, dict):
                value[str(self.value())[:80]] = value.pop(place)
            case 2 if isinstance(value, dict):
                value[f"{place}_2"] = self.value()
            case 3 if isinstance(value, list):
                value.append(deepcopy(value[place]))
            case _:
                value[place] = self.value()
        return value

    def _write(self, value: Any) -> bytes:
        if self._chance.random() < 0.8:
            return json.dumps(value).encode()
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="surrogatepass")


def _flip_bit(chance: Random, message: bytes) -> bytes:
    changed = bytearray(message or b" ")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(chance: Random, message: bytes) -> bytes:
    return message[: chance.randrange(len(message) + 1)]


def _repeat_part(chance: Random, message: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(message) + 1) for _ in range(2))
    return message[:end] + message[start:end] * chance.choice((1, 2, 20)) + message[end:]


def _drop_part(chance: Random, message: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(message) + 1) for _ in range(2))
    return message[:start] + message[end:]


def _insert(chance: Random, message: bytes) -> bytes:
    place = chance.randrange(len(message) + 1)
    added = chance.choice((*_BAD_UTF8, chance.randbytes(chance.randrange(1, 9))))
    return message[:place] + added + message[place:]


def _insert_run(chance: Random, message: bytes) -> bytes:
    place = chance.randrange(len(message) + 1)
    length = VERY_DEEP if chance.random() < 0.01 else DEEP
    return message[:place] + chance.choice(_RUNS) * length + message[place:]


def _double(chance: Random, message: bytes) -> bytes:
    return message + chance.choice((b"", b"\n", b",")) + message


def _as_utf16(chance: Random, message: bytes) -> bytes:
    return message.decode(errors="replace").encode("utf-16")


_BYTE_CHANGES: Sequence[Callable[[Random, bytes], bytes]] = (
    _flip_bit,
    _flip_bit,
    _truncate,
    _truncate,
    _repeat_part,
    _drop_part,
    _insert,
    _insert_run,
    _double,
    _as_utf16,
)
