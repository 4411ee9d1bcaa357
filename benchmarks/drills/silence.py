"""Calculates how long a caller heard nothing."""

from collections.abc import Iterable


def longest_silence(heard: Iterable[tuple[float, float]], since: float, until: float) -> float:
    """Return the longest silence. `heard` has the beginning and the end of each sound in their
    order."""
    longest, silent_since = 0.0, since
    for began, ended in heard:
        if ended > silent_since:
            longest = max(longest, min(began, until) - silent_since)
            silent_since = ended
    return max(longest, until - silent_since, 0.0)
