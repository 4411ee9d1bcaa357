"""Stores the ledger of `limits.py` in one item of the table. Conditional writes keep concurrent
requests from sharing a place."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from control_plane.limits import Ledger, Limits, reserve, settle
from phonebridge.errors import Conflict, LimitReached
from phonebridge.ports import CallStore
from phonebridge.storage.table import ItemKey, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEEP_SECONDS = 2 * 86_400
MAX_ATTEMPTS = 200
"""Every failed attempt means that another request succeeded."""
MAX_PAUSE_SECONDS = 0.02
PLACING_MS = 60_000
"""A reservation without a record counts as a call that is still being placed for this long. After
that it was never placed."""

_KEY = ItemKey("LIMITS", "CURRENT")


@dataclass(frozen=True, slots=True)
class _Stored:
    """A ledger as JSON. Its reservations are never needed one by one."""

    version: int = 0
    ledger: str = "{}"


class CallLimits:
    def __init__(
        self,
        limits: Limits,
        store: CallStore,
        table_name: str,
        client: "DynamoDBClient",
        now_ms: Callable[[], int],
    ) -> None:
        self._limits = limits
        self._store = store
        self._table = Table(table_name, client, now_ms)
        self._now_ms = now_ms

    def reserve(self, call_id: str, seconds: int) -> None:
        """Reserve time for a call. Raises `LimitReached`, or `Conflict` if too many requests come
        at the same time."""
        if not self._limits.is_on:
            return
        for _ in range(MAX_ATTEMPTS):
            stored = self._table.get(_KEY, _Stored) or self._table.put_if_absent(
                _KEY, _Stored(), KEEP_SECONDS
            )
            ledger = self._with(stored, call_id, seconds)
            changed = _Stored(stored.version + 1, msgspec.json.encode(ledger).decode())
            if self._table.put_if_version(_KEY, changed, KEEP_SECONDS, version=stored.version):
                return
            time.sleep(random.uniform(0, MAX_PAUSE_SECONDS))
        raise Conflict("Too many calls are placed at the same time; try again.")

    def _with(self, stored: _Stored, call_id: str, seconds: int) -> Ledger:
        """Add a reservation. Ended calls are looked up only if there is no room otherwise."""
        ledger = msgspec.json.decode(stored.ledger, type=Ledger)
        now_ms = self._now_ms()
        try:
            return reserve(ledger, self._limits, call_id, seconds, now_ms)
        except LimitReached:
            settled = settle(ledger.on_day_of(now_ms), self._used_seconds_by(ledger, now_ms))
            return reserve(settled, self._limits, call_id, seconds, now_ms)

    def _used_seconds_by(self, ledger: Ledger, now_ms: int) -> Callable[[str], int | None]:
        reserved_at_ms = {each.call_id: each.reserved_at_ms for each in ledger.active}

        def used_seconds(call_id: str) -> int | None:
            if call := self._store.load(call_id):
                return None if call.talk_ms is None else math.ceil(call.talk_ms / 1000)
            return 0 if now_ms > reserved_at_ms[call_id] + PLACING_MS else None

        return used_seconds
