"""Decides how often a failed attempt of the model is repeated. Failures count until a reply comes.
A caller who speaks again does not reset the count, because a broken model stays broken. It only
restarts the time between the attempts.

Failures count until a reply comes. A caller who speaks again does not reset the count, because a
broken model stays broken. It only restarts the time between the attempts.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from media_bridge import events
from media_bridge.commands import AddTimelineEntry, BridgeCommand, Log

FIRST_RETRY_SECONDS = 0.5
"""The delay doubles with every failure."""
MAX_ATTEMPTS = 4
MAX_STALLS = 2
MAX_RETRY_SECONDS = 30.0
"""No attempt begins later than this after the first failure."""

# Another attempt does not help against these (OpenAI, "Error codes").
FATAL_CODES = ("insufficient_quota", "billing_hard_limit_reached", "account_deactivated")


class FaultReason(StrEnum):
    """Why a call failed, if the model is to blame."""

    SILENT = "model_silent"
    FAILED = "model_failed"
    STALLED = "model_stalled"


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that brought the caller nothing."""

    reason: FaultReason
    why: str
    retry_after: float | None = None
    """The server wants us to wait for so many seconds."""

    @property
    def is_fatal(self) -> bool:
        return any(code in self.why for code in FATAL_CODES)


@dataclass(slots=True)
class RetryBudget:
    _failures: int = 0
    _stalls: int = 0
    _first_failure_at: float | None = None

    def delay_after(self, failure: Failure, now: float) -> float | None:
        """Count a failure. Return the seconds until the next attempt, or None if there is none."""
        self._failures += 1
        self._stalls += failure.reason is FaultReason.STALLED
        if self._first_failure_at is None:
            self._first_failure_at = now
        back_off = FIRST_RETRY_SECONDS * 2 ** (self._failures - 1)
        delay = max(failure.retry_after or 0.0, back_off)
        is_late = now + delay > self._first_failure_at + MAX_RETRY_SECONDS
        is_used_up = self._failures >= MAX_ATTEMPTS or self._stalls >= MAX_STALLS
        return None if failure.is_fatal or is_used_up or is_late else delay

    def is_last(self, failure: Failure, now: float) -> bool:
        """Return whether no attempt would follow this failure."""
        return replace(self).delay_after(failure, now) is None

    def start_window(self) -> None:
        """Restart the time for attempts, because the caller spoke."""
        self._first_failure_at = None

    def reset(self) -> None:
        """Reset the count, because a reply came."""
        self._failures = self._stalls = 0
        self._first_failure_at = None


def cut_short(event: events.ResponseEnded) -> list[BridgeCommand]:
    """Note in the timeline that the caller may have got only a part of the response."""
    if event.status == "completed":
        return []
    why = _describe(event)
    return [Log("warning", "model reply cut short", why), AddTimelineEntry("reply cut short", why)]


def failure_of(event: events.ResponseEnded) -> Failure:
    reasons = {"failed": FaultReason.FAILED, "stalled": FaultReason.STALLED}
    reason = reasons.get(event.status, FaultReason.SILENT)
    return Failure(reason, _describe(event), event.retry_after)


def _describe(event: events.ResponseEnded) -> str:
    if event.status == "completed":
        return "completed without speech"
    return f"{event.status}: {event.detail}" if event.detail else event.status
