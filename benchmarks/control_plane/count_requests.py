"""Counts the DynamoDB requests of one whole call on the local stack and stores them in
requests.json. docs/scale.md multiplies them (`make bench-scale`)."""

import asyncio
import importlib
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from moto.dynamodb.responses import DynamoHandler
from msgspec import structs

from aws.dynamodb import create_table, dynamodb, local_client
from aws.stack import TABLE, Plan, free_port, running
from aws.template import load_template
from benchmarks.control_plane.dynamodb_units import write_units
from benchmarks.control_plane.limits import Asked, OneCall
from simulators.scenario import APPOINTMENT

COUNTED = Path(__file__).resolve().parent.parent / "results" / "requests.json"
LOG = Path(__file__).resolve().parents[2] / ".build" / "scale.log"
CALLEE = "+15550123"
LAST_WRITES_SECONDS = 5.0


class Repeated(msgspec.Struct, frozen=True):
    """A number of identical requests."""

    asked: Asked
    times: int


class Stored(msgspec.Struct, frozen=True):
    seconds: float
    requests: tuple[Repeated, ...]


def load(path: Path = COUNTED) -> OneCall:
    stored = msgspec.json.decode(path.read_bytes(), type=Stored)
    asked = [each.asked for each in stored.requests for _ in range(each.times)]
    return OneCall(asked, stored.seconds)


def save(one: OneCall, path: Path = COUNTED) -> None:
    requests = tuple(Repeated(asked, times) for asked, times in Counter(one.asked).items())
    encoded = msgspec.json.encode(Stored(one.seconds, requests))
    path.write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")


@contextmanager
def listening() -> Iterator[list[Asked]]:
    """Collect every request that the DynamoDB of this process receives."""
    requests: list[Asked] = []
    answer = DynamoHandler.call_action

    def call_action(handler: DynamoHandler) -> Any:
        operation = handler.headers["X-Amz-Target"].partition(".")[2]
        answered = answer(handler)  # which also parses the body
        asked = _requests_of(operation, handler.body)
        # A refused condition is billed as a write of the table, but nothing goes to an index.
        is_refused = operation == "PutItem" and answered[0] != 200
        requests.extend(structs.replace(each, indexed=()) if is_refused else each for each in asked)
        return answered

    DynamoHandler.call_action = call_action  # type: ignore[method-assign]
    try:
        yield requests
    finally:
        DynamoHandler.call_action = answer  # type: ignore[method-assign]


def _requests_of(operation: str, body: dict[str, Any]) -> Iterator[Asked]:
    match operation:
        case "PutItem":
            yield _write_of(operation, body["Item"])
        case "BatchWriteItem":
            for requests in body["RequestItems"].values():
                for request in requests:
                    yield _write_of(operation, request["PutRequest"]["Item"])
        case "DeleteItem":
            yield Asked(operation, _kind(body["Key"]["pk"]["S"]), write_units=1)
        case "GetItem":
            # The head or the configuration of a call, which have up to 4 KB.
            units = 1 if body["ConsistentRead"] else 0.5
            yield Asked(operation, _kind(body["Key"]["pk"]["S"]), read_units=units)
        case "Query":
            value = next(iter(body["ExpressionAttributeValues"].values()))["S"]
            consistent = body.get("ConsistentRead", False)
            yield Asked(operation, _kind(value), read_units=1 if consistent else 0.5)


def _write_of(operation: str, item: dict[str, Any]) -> Asked:
    indexed = tuple(index for index in ("live", "ended") if index in item)
    kind = _kind(item["pk"]["S"])
    return Asked(operation, kind, write_units=write_units(item), indexed=indexed)


def _kind(partition: str) -> str:
    return partition.partition("#")[0]


async def count_one_call() -> OneCall:
    """Make the demo's call and collect its requests."""
    LOG.parent.mkdir(exist_ok=True)
    with dynamodb() as address, listening() as requests:
        create_table(local_client(address), TABLE, load_template())
        plan = Plan(free_port(), APPOINTMENT, hangs_up=True, silence_timeout_ms=15_000, log=LOG)
        given = {"AWS_ENDPOINT_URL_DYNAMODB": address}
        async with running(plan, given, lambda *_: None) as stack:
            _handlers_log_to(LOG)
            requests.clear()
            began = time.monotonic()
            async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as api:
                body = {"to": CALLEE, "instructions": "Be brief."}
                (await api.post("/api/ai-calls/create", json=body)).raise_for_status()
            assert stack.telnyx is not None
            await stack.telnyx.calls[0].ended.wait()
            seconds = time.monotonic() - began
            await asyncio.sleep(LAST_WRITES_SECONDS)
            return OneCall(requests, seconds)


def _handlers_log_to(path: Path) -> None:
    importlib.import_module("control_plane.services")
    for handler in logging.getLogger("control-plane").handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(path.open("a"))


def main() -> None:
    save(asyncio.run(count_one_call()))


if __name__ == "__main__":
    main()
