"""How many calls and minutes a deployment may place. Pure: a ledger in, a ledger or an error out.

A call reserves its longest duration when it is created. What it did not use is returned once it is
known to have ended. A reservation that nobody returns expires.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from phonebridge.errors import LimitReached

GRACE_MS = 120_000
"""Ringing, and the last writes of a call, come on top of its longest duration."""
BUSY_RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit. Seconds are counted, minutes are what people set."""

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
    """Everything that counts on one UTC day, and the calls that are up or may be."""

    day: str = ""
    calls: int = 0
    seconds: int = 0
    active: tuple[Reservation, ...] = ()

    def on_day_of(self, now_ms: int) -> "Ledger":
        """The same at another time: a new day starts at zero, expired reservations are gone."""
        day = _day(now_ms)
        active = tuple(each for each in self.active if each.expires_at_ms > now_ms)
        if day == self.day:
            return replace(self, active=active)
        return Ledger(day=day, active=active)


def reserve(ledger: Ledger, limits: Limits, call_id: str, seconds: int, now_ms: int) -> Ledger:
    """Raises `LimitReached`. A call that has its place already gets no second one."""
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
    """Return what ended calls did not use; `used_seconds` is None for a call that may be up."""
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
