"""How long the server wants us to wait before the next attempt.

OpenAI writes the delay into the message of a rate limit error: "Please try again in 1.898s." or
"in 20ms" (OpenAI, "Rate limits"). Other servers of this protocol have a field for it, named after
the `Retry-After` header of RFC 9110.
"""

import re
from typing import Any

_PART = r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|minutes?|min|m|hours?|h|seconds?|secs?|s)(?![a-z])"
_DELAY = re.compile(
    rf"(?:try(?:ing)?\s+again|retry(?:ing)?)\s+(?:in|after)\s+((?:{_PART}[\s,]*)+)", re.IGNORECASE
)
_PARTS = re.compile(_PART, re.IGNORECASE)


def retry_delay(message: str | None, seconds: Any = None, milliseconds: Any = None) -> float | None:
    """Return the seconds, or None if the server names no delay. A field counts before the
    message."""
    for value, unit in ((seconds, 1.0), (milliseconds, 0.001)):
        if (delay := _number(value)) is not None:
            return delay * unit
    found = _DELAY.search(message or "")
    if found is None:
        return None
    return sum(float(number) * _unit_seconds(unit) for number, unit in _PARTS.findall(found[1]))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < float("inf") else None


def _unit_seconds(unit: str) -> float:
    unit = unit.lower()
    if unit.startswith(("ms", "milli")):
        return 0.001
    return {"h": 3600.0, "m": 60.0, "s": 1.0}[unit[0]]
