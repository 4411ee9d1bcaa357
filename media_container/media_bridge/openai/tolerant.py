"""Reading events that are not quite as documented.

One null, one value of another type or half of a surrogate pair must not void an event. What cannot
be read counts as absent, unless the event is of no use without it.
"""

import json
import re
from typing import Any, TypeVar

import msgspec

Text = str | bytes | memoryview
T = TypeVar("T")

MAX_REPAIRS = 32
_PATH = re.compile(r"`\$\.(?P<path>[^`]+)`$")
"""Finds the path of a value that `msgspec` could not read."""
_ITEM = re.compile(r"\[.*")


def loads(text: Text) -> Any:
    """Return the JSON value, with U+FFFD in place of halves of surrogate pairs. Raises
    `ValueError`, or `RecursionError` for JSON that is nested too deeply."""
    return _clean(
        json.loads(text if isinstance(text, str) else bytes(text).decode(errors="replace"))
    )


def repair(value: Any, decoder: msgspec.json.Decoder[T]) -> tuple[T, list[str]]:
    """Return the value as the decoder's type, and the paths of the parts that count as absent.
    Raises `msgspec.ValidationError` for a value that lacks what its type requires."""
    absent: list[str] = []
    while True:
        try:
            return decoder.decode(msgspec.json.encode(value)), absent
        except msgspec.ValidationError as error:
            path = _remove(value, str(error))
            if path is None or len(absent) == MAX_REPAIRS:
                raise
            absent.append(path)


def read(raw: Text, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Return the value without its unreadable parts, or None if the rest is of no use."""
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        pass
    try:
        return repair(loads(raw), decoder)[0]
    except (ValueError, RecursionError):
        return None


def _remove(value: Any, error: str) -> str | None:
    """Remove the value at a path, and return the path that was removed. An element of a list goes
    with its list."""
    found = _PATH.search(error)
    if found is None:
        return None
    *parents, name = found["path"].split(".")
    for parent in parents:
        value = _step(value, parent)
    value.pop(_ITEM.sub("", name))
    return found["path"]


def _step(value: Any, name: str) -> Any:
    key, *indexes = re.findall(r"[^\[\]]+", name)
    value = value[key]
    for index in indexes:
        value = value[int(index)]
    return value


def _clean(value: Any) -> Any:
    match value:
        case str():
            # Half of a surrogate pair is no character, and UTF-8 cannot carry it (RFC 3629, 3).
            if value.isascii():
                return value
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_clean(each) for each in value]
        case dict():
            return {_clean(name): _clean(each) for name, each in value.items()}
        case _:
            return value
