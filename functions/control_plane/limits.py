"""Limits on the calls and minutes of a deployment. This module is pure: it takes a ledger and
returns a ledger, or raises an error.

A call reserves its maximum duration when it is created. When the call is known to have ended, the
unused part is returned. A reservation that is never returned expires.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from phonebridge.errors import LimitReached

GRACE_MS = 120_000
"""Time for ringing and for the last writes, in addition to a call's maximum duration."""
BUSY_RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a deployment; None means unlimited. Minutes are configured, seconds are counted."""

    concurrent_calls: int | None
    calls_per_day: int | None
    minutes_per_day: int | None

    @property
    def is_on(self) -> bool:
        return (self.concurrent_calls, self.calls_per_day, self.minutes_per_day) != (None,) * 3


@dataclass(frozen=True, slots=True)
class Reservation:
    call_id: str
    day: str
    seconds: int
    expires_at_ms: int

    @property
    def reserved_at_ms(self) -> int:
        return self.expires_at_ms - GRACE_MS - self.seconds * 1000


@dataclass(frozen=True, slots=True)
class Ledger:
    """The usage of one UTC day, and the calls that are or may be in progress."""

    day: str = ""
    calls: int = 0
    seconds: int = 0
    active: tuple[Reservation, ...] = ()

    def on_day_of(self, now_ms: int) -> "Ledger":
        """Return the ledger for another time. A new day starts at zero, and expired reservations
        are removed."""
        day = _day(now_ms)
        active = tuple(each for each in self.active if each.expires_at_ms > now_ms)
        if day == self.day:
            return replace(self, active=active)
        return Ledger(day=day, active=active)


def reserve(ledger: Ledger, limits: Limits, call_id: str, seconds: int, now_ms: int) -> Ledger:
    """Reserve time for a call, once. Raises `LimitReached`."""
    ledger = ledger.on_day_of(now_ms)
    if any(each.call_id == call_id for each in ledger.active):
        return ledger
    expires_at_ms = now_ms + seconds * 1000 + GRACE_MS
    reservation = Reservation(call_id, ledger.day, seconds, expires_at_ms)
    grown = Ledger(
        day=ledger.day,
        calls=ledger.calls + 1,
        seconds=ledger.seconds + seconds,
        active=(*ledger.active, reservation),
    )
    _check(grown, limits, now_ms)
    return grown


def settle(ledger: Ledger, used_seconds: Callable[[str], int | None]) -> Ledger:
    """Release the unused time of ended calls. `used_seconds` returns None for a call that may be in
    progress."""
    for each in ledger.active:
        used = used_seconds(each.call_id)
        if used is None:
            continue
        active = tuple(other for other in ledger.active if other != each)
        unused = max(0, each.seconds - used) if each.day == ledger.day else 0
        ledger = replace(ledger, active=active, seconds=ledger.seconds - unused)
    return ledger


def _check(grown: Ledger, limits: Limits, now_ms: int) -> None:
    tomorrow = _next_day(now_ms)
    wait = round(tomorrow.timestamp() - now_ms / 1000)
    until = tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ")
    if _is_above(len(grown.active), limits.concurrent_calls):
        raise LimitReached(
            f"{limits.concurrent_calls} calls at a time", "when a call ends", BUSY_RETRY_SECONDS
        )
    if _is_above(grown.calls, limits.calls_per_day):
        raise LimitReached(f"{limits.calls_per_day} calls a day", f"at {until}", wait)
    minutes = limits.minutes_per_day
    if _is_above(grown.seconds, None if minutes is None else minutes * 60):
        reset = f"when calls end that have reserved more than they use, or at {until}"
        raise LimitReached(f"{minutes} minutes a day", reset, wait)


def _is_above(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit


def _day(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d")


def _next_day(now_ms: int) -> datetime:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
