"""The ledger of calls and minutes: what fits, what is returned, what expires."""

from datetime import UTC, datetime

import pytest

from control_plane.limits import GRACE_MS, Ledger, Limits, reserve, settle
from phonebridge.errors import LimitReached

NOON_MS = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()) * 1000
DAY_MS = 86_400_000
NONE = Limits(None, None, None)


def ledger_of(*call_ids: str, seconds: int = 60, at_ms: int = NOON_MS) -> Ledger:
    ledger = Ledger()
    for call_id in call_ids:
        ledger = reserve(ledger, NONE, call_id, seconds, at_ms)
    return ledger


def refusal_of(
    ledger: Ledger, limits: Limits, seconds: int = 60, at_ms: int = NOON_MS
) -> LimitReached:
    with pytest.raises(LimitReached) as found:
        reserve(ledger, limits, "another", seconds, at_ms)
    return found.value


def test_without_limits_every_call_has_its_place() -> None:
    assert not NONE.is_on
    assert len(ledger_of(*map(str, range(1000))).active) == 1000


def test_calls_at_a_time() -> None:
    limits = Limits(2, None, None)
    assert len(reserve(ledger_of("a"), limits, "b", 60, NOON_MS).active) == 2
    error = refusal_of(ledger_of("a", "b"), limits)
    assert "The limit of 2 calls at a time is reached" in str(error)
    assert error.retry_after_seconds == 10


def test_calls_a_day_are_counted_until_midnight() -> None:
    limits = Limits(None, 2, None)
    ledger = settle(ledger_of("a", "b"), lambda _: 1)
    error = refusal_of(ledger, limits)
    assert "2 calls a day" in str(error)
    assert "at 2026-12-01T00:00:00Z" in str(error)
    assert error.retry_after_seconds == 12 * 3600
    assert reserve(ledger, limits, "c", 60, NOON_MS + DAY_MS).calls == 1


def test_minutes_are_reserved_whole_and_the_rest_is_returned() -> None:
    limits = Limits(None, None, 3)
    ledger = ledger_of("a", seconds=120)
    assert "3 minutes a day" in str(refusal_of(ledger, limits, seconds=61))
    settled = settle(ledger, {"a": 30}.get)
    assert (settled.seconds, settled.active) == (30, ())
    assert reserve(settled, limits, "b", 150, NOON_MS).seconds == 180


def test_a_call_that_may_be_up_keeps_its_place() -> None:
    ledger = ledger_of("a", "b")
    assert settle(ledger, {"a": 10}.get).active == ledger.active[1:]


def test_a_call_that_outlasts_its_reservation_returns_nothing() -> None:
    assert settle(ledger_of("a", seconds=60), {"a": 90}.get).seconds == 60


def test_a_call_of_yesterday_keeps_its_place_but_none_of_todays_minutes() -> None:
    late_ms = NOON_MS + DAY_MS // 2 - 10_000
    ledger = ledger_of("a", seconds=60, at_ms=late_ms).on_day_of(late_ms + 20_000)
    assert (ledger.day, ledger.calls, ledger.seconds) == ("2026-12-01", 0, 0)
    assert len(ledger.active) == 1
    assert settle(ledger, {"a": 5}.get).seconds == 0


def test_a_reservation_that_nobody_returns_expires() -> None:
    ledger = ledger_of("a", seconds=60)
    end_ms = NOON_MS + 60_000 + GRACE_MS
    assert ledger.on_day_of(end_ms - 1).active
    assert not ledger.on_day_of(end_ms).active
    assert ledger.on_day_of(end_ms).seconds == 60, "as if it had been used"


def test_a_repeated_request_gets_no_second_place() -> None:
    ledger = ledger_of("a")
    assert reserve(ledger, Limits(1, 1, 1), "a", 60, NOON_MS) == ledger
