"""The control plane with a table in memory and a Telnyx that accepts everything.

The table refuses what DynamoDB refuses (DynamoDB, "Constraints"), so a value that cannot be stored
is found.
"""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import urllib3
from botocore.exceptions import ClientError

from benchmarks.drills.mechanism import replaced
from benchmarks.drills.table_in_memory import TableInMemory
from benchmarks.drills.virtual_system import environ
from control_plane import services
from control_plane.services import ControlPlane

MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES = 2_048, 1_024
MAX_ITEM_BYTES = 400 * 1024
MAX_NUMBER_DIGITS = 38


class StrictTable(TableInMemory):
    def get_item(
        self, *, Key: Mapping[str, Any], ConsistentRead: bool, **rest: Any
    ) -> dict[str, Any]:
        _check_key(Key)
        return super().get_item(Key=Key, ConsistentRead=ConsistentRead, **rest)

    def put_item(self, *, Item: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
        _check_item(Item)
        return super().put_item(Item=Item, **rest)

    def delete_item(self, *, Key: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
        _check_key(Key)
        return super().delete_item(Key=Key, **rest)


def _check_key(key: Mapping[str, Any]) -> None:
    for name, most in (("pk", MAX_PARTITION_KEY_BYTES), ("sk", MAX_SORT_KEY_BYTES)):
        if not 0 < len(key[name]["S"].encode()) <= most:
            raise _refusal("a key is empty or too long")


def _check_item(item: Mapping[str, Any]) -> None:
    _check_key(item)
    if len(msgspec.json.encode(item)) > MAX_ITEM_BYTES:
        raise _refusal("the item is too large")
    _check_numbers(item)


def _check_numbers(values: Mapping[str, Any]) -> None:
    for value in values.values():
        if len(value.get("N", "").lstrip("-")) > MAX_NUMBER_DIGITS:
            raise _refusal("a number has too many digits")
        _check_numbers(value.get("M", {}))


def _refusal(message: str) -> ClientError:
    error = {"Error": {"Code": "ValidationException", "Message": message}}
    return ClientError(error, "PutItem")  # type: ignore[arg-type]


@dataclass(slots=True)
class _Answer:
    data: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class AcceptingTelnyx:
    """Replaces `urllib3.PoolManager`. Each dial gets a leg of its own."""

    commands: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(100))

    def request(self, method: str, url: str, body: bytes | None = None, **_: Any) -> _Answer:
        msgspec.json.decode(body or b"{}")
        self.commands.append(url)
        number = next(self._numbers)
        data: dict[str, object] = {"is_alive": True, "result": "ok"}
        if url.endswith("/calls"):
            names = ("call_control_id", "call_leg_id", "call_session_id")
            data |= {name: f"{name}-{number}" for name in names}
        return _Answer(msgspec.json.encode({"data": data}))


@contextmanager
def fresh_plane(
    environment: Mapping[str, str], now_ms: Callable[[], int]
) -> Iterator[ControlPlane]:
    """A control plane whose table is empty."""
    table, telnyx = StrictTable(lambda: 0.0, lambda: None), AcceptingTelnyx()
    with ExitStack() as stack:
        for owner, name, part in (
            (services, "dynamodb_client", lambda *_: table),
            (services, "now_ms", now_ms),
            (urllib3, "PoolManager", lambda **_: telnyx),
        ):
            stack.enter_context(replaced(owner, name, part))
        stack.enter_context(environ(environment))
        services.control_plane.cache_clear()
        stack.callback(services.control_plane.cache_clear)
        yield services.control_plane()


@contextmanager
def quiet_logs() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
