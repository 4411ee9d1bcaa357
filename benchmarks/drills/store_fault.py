"""The table of the drills: a DynamoDB in memory that can be away, throttled or slow.

`FaultyClient` stands where boto3's client stands and waits as botocore 1.44 does: its timeouts, its
attempts and its back-off ("Retry behavior", AWS SDKs and Tools Reference Guide).
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from benchmarks.drills.lockstep_loop import LockstepLoop
from benchmarks.drills.table_in_memory import ConditionFailed, TableInMemory

LATENCY_SECONDS = 0.004
SLOW_SECONDS = (0.5, 3.5)
"""Delays of a slow table. A client that waits two seconds often gets no response, although the
table executes the request."""
THROTTLED_BACKOFF_SECONDS = 1.0
BACKOFF_SECONDS = 0.025


class StoreFault(StrEnum):
    NONE = "no fault"
    UNAVAILABLE = "unavailable"
    THROTTLED = "throttled"
    SLOW = "slow"


@dataclass(slots=True)
class Outage:
    """`begins` and `ends` in seconds of the loop's time."""

    fault: StoreFault
    begins: float
    ends: float

    @property
    def lasts(self) -> float:
        return self.ends - self.begins

    def at(self, now: float) -> StoreFault:
        return self.fault if self.begins <= now < self.ends else StoreFault.NONE


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for one answer, and how often it asks."""

    read_seconds: float
    attempts: int


CALLS = Patience(read_seconds=2.0, attempts=3)
HEARTBEATS = Patience(read_seconds=1.0, attempts=1)
"""Both as `phonebridge/storage/dynamodb.py` configures them."""


class FaultyClient:
    """A client of the table. May be used by any number of jobs."""

    exceptions = TableInMemory.exceptions

    def __init__(
        self, loop: LockstepLoop, table: TableInMemory, outage: Outage, patience: Patience
    ) -> None:
        self._loop = loop
        self._table = table
        self._outage = outage
        self._patience = patience
        self._luck = Random(13)
        self.meta = SimpleNamespace(endpoint_url="http://127.0.0.1:1", region_name="us-east-1")

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        return partial(self._ask, operation)

    def close(self) -> None:
        pass

    def is_known_empty(self, query: dict[str, Any]) -> bool:
        """Return the result of one query without a retry, or False if there is no response. This
        takes no time."""
        is_well = self._outage.at(self._loop.time()) is StoreFault.NONE
        return is_well and not self._table.query(**query)["Count"]

    def _ask(self, operation: str, **request: Any) -> dict[str, Any]:
        ask = partial(getattr(self._table, operation), **request)
        for attempt in range(self._patience.attempts):
            try:
                return self._attempt(operation, ask)
            except (ReadTimeoutError, ClientError) as error:
                failure = error
            if attempt + 1 < self._patience.attempts:
                throttled = isinstance(failure, ClientError)
                base = THROTTLED_BACKOFF_SECONDS if throttled else BACKOFF_SECONDS
                self._loop.sleep(self._luck.uniform(0, base * 2**attempt))
        raise failure

    def _attempt(self, operation: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        match self._outage.at(self._loop.time()):
            case StoreFault.UNAVAILABLE:
                self._loop.sleep(self._patience.read_seconds)
                raise _timeout()
            case StoreFault.THROTTLED:
                self._loop.sleep(LATENCY_SECONDS)
                raise _throttled(operation)
            case StoreFault.SLOW:
                return self._ask_slow_table(ask)
            case StoreFault.NONE:
                self._loop.sleep(LATENCY_SECONDS)
                return ask()

    def _ask_slow_table(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        takes = self._luck.uniform(*SLOW_SECONDS)
        if takes > self._patience.read_seconds:
            self._loop.call_later(takes, _carry_out_unheard, ask)
            self._loop.sleep(self._patience.read_seconds)
            raise _timeout()
        self._loop.sleep(takes)
        return ask()


def _carry_out_unheard(ask: Callable[[], dict[str, Any]]) -> None:
    """The client has gone; the table does what was asked all the same."""
    with contextlib.suppress(ConditionFailed):
        ask()


def _timeout() -> ReadTimeoutError:
    return ReadTimeoutError(endpoint_url="http://table.example")


def _throttled(operation: str) -> ClientError:
    code = "ProvisionedThroughputExceededException"
    return ClientError({"Error": {"Code": code, "Message": "throttled"}}, operation)
