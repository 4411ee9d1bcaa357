"""Where the next limit lies: what one call asks of DynamoDB, counted while a whole call runs on the
local stack, and what a thousand times as many ask of each shared thing, on paper and simulated.
Counts; the times beside them are those of other benchmarks. The page is docs/scale.md
(`make bench-scale`).
"""

import asyncio
import importlib
import logging
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from moto.dynamodb.responses import DynamoHandler
from msgspec.structs import replace

import cold_start
import cores
import results
import rush
import storm_page
from dynamodb import create_table, dynamodb, local_client
from growth import core_shares, told
from limits import (
    BURST,
    CALL_MINUTES,
    LOADS,
    SLOTS,
    WEBHOOKS,
    WRITE_UNIT_BYTES,
    Asked,
    OneCall,
    limits,
    nearest,
    steady,
)
from media_bridge.task import MAILBOX_SECONDS
from phonebridge.settings import ModelAudio
from simulators.scenario import APPOINTMENT
from stack import TABLE, Plan, free_port, running
from table_in_memory import item_bytes
from template import load_template

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
LOG = ROOT / ".build" / "scale.log"
CALLEE = "+15550123"
LAST_WRITES_SECONDS = 5.0
GROWING = (1_000, 10_000, 100_000)


@contextmanager
def listening() -> Iterator[list[Asked]]:
    """Everything that the DynamoDB of this process is asked for."""
    heard: list[Asked] = []
    answer = DynamoHandler.call_action

    def call_action(handler: DynamoHandler) -> Any:
        operation = handler.headers["X-Amz-Target"].partition(".")[2]
        answered = answer(handler)
        now = time.monotonic()
        heard.extend(replace(each, at=now) for each in _billed(operation, handler.body))
        return answered

    DynamoHandler.call_action = call_action  # type: ignore[method-assign]
    try:
        yield heard
    finally:
        DynamoHandler.call_action = answer  # type: ignore[method-assign]


def _billed(operation: str, body: dict[str, Any]) -> Iterator[Asked]:
    match operation:
        case "PutItem":
            yield _written(operation, body["Item"])
        case "BatchWriteItem":
            for requests in body["RequestItems"].values():
                for request in requests:
                    yield _written(operation, request["PutRequest"]["Item"])
        case "DeleteItem":
            yield Asked(operation, _kind(body["Key"]["pk"]["S"]), write_units=1)
        case "GetItem":
            # A head or a configuration; strongly consistent.
            yield Asked(operation, _kind(body["Key"]["pk"]["S"]), read_units=1)
        case "Query":
            value = next(iter(body["ExpressionAttributeValues"].values()))["S"]
            consistent = body.get("ConsistentRead", False)
            yield Asked(operation, _kind(value), read_units=1 if consistent else 0.5)


def _written(operation: str, item: dict[str, Any]) -> Asked:
    units = math.ceil(item_bytes(item) / WRITE_UNIT_BYTES)
    indexed = tuple(index for index in ("live", "ended") if index in item)
    return Asked(operation, _kind(item["pk"]["S"]), write_units=units, indexed=indexed)


def _kind(partition: str) -> str:
    return partition.partition("#")[0]


async def count_one_call() -> OneCall:
    """Make the demo's call, and write down what it asks for."""
    LOG.parent.mkdir(exist_ok=True)
    with dynamodb() as address, listening() as heard:
        create_table(local_client(address), TABLE, load_template())
        plan = Plan(free_port(), APPOINTMENT, hangs_up=True, patience_ms=15_000, log=LOG)
        given = {"AWS_ENDPOINT_URL_DYNAMODB": address}
        async with running(plan, given, lambda *_: None) as stack:
            _handlers_log_to(LOG)
            heard.clear()
            began = time.monotonic()
            async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as api:
                body = {"to": CALLEE, "instructions": "Be brief."}
                (await api.post("/api/ai-calls/create", json=body)).raise_for_status()
            assert stack.telnyx is not None
            await stack.telnyx.calls[0].ended.wait()
            seconds = time.monotonic() - began
            await asyncio.sleep(LAST_WRITES_SECONDS)
            return OneCall([replace(each, at=each.at - began) for each in heard], seconds)


def _handlers_log_to(path: Path) -> None:
    importlib.import_module("control_plane")
    for handler in logging.getLogger("control-plane").handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(path.open("a"))


def render(
    one: OneCall,
    known: results.Results,
    beside: cores.Cores,
    starts: cold_start.ColdStarts | None,
    storms: storm_page.Storms,
) -> str:
    parts = [INTRODUCTION, _call(one), _limits(one)]
    parts.append(rush.section(one, BURST))
    if starts:
        parts.append(_control_plane(starts))
    parts.append(storm_page.section(storms))
    return "\n".join((*parts, GROWTH, _growth(known), cores.section(beside)))


def _call(one: OneCall) -> str:
    counts = Counter((each.partition, each.operation) for each in one.asked)
    rows = (f"| `{kind}` | {operation} | {n} |" for (kind, operation), n in sorted(counts.items()))
    return "\n".join(
        (
            f"## One call of {one.seconds:.0f} s\n",
            "| partition | operation | requests |\n|---|---|--:|",
            *rows,
            f"\n{one.all_writes:.0f} write units in all, copies for the indexes included. `TASK` is"
            f" the mailbox: each task polls its own {1 / MAILBOX_SECONDS:.0f} times a second while"
            " it carries calls, however many they are.\n",
        )
    )


def _limits(one: OneCall) -> str:
    columns = " | ".join(load.name for load in LOADS)
    rows = (
        f"| {row[0].name} ({row[0].most:,.0f}) |"
        + "".join(f" {limit.share:.2f} |" for limit in row)
        + f" {row[0].remedy} |"
        for row in zip(*(limits(one, load) for load in LOADS), strict=True)
    )
    return "\n".join(
        (
            f"## Many calls of {CALL_MINUTES:.0f} minutes\n",
            f"In tasks of {SLOTS} calls. Above 1 a limit is passed; limits are the defaults of a"
            " new account, where more can be asked for.\n",
            f"| what is shared | {columns} | remedy |\n|---|{'--:|' * len(LOADS)}---|",
            *rows,
            "",
            *(_next(one, calls) for calls in GROWING),
            "",
        )
    )


def _next(one: OneCall, calls: int) -> str:
    """Whatever can be raised being raised."""
    own = nearest(limits(one, steady(calls)))
    passed = [each for each in own if each.share > 1]
    told = ", ".join(f"{each.name} ({each.share:.2f})" for each in passed or own[:1])
    return f"* {calls:,} calls, quotas raised: {'passed:' if passed else 'the nearest is'} {told}."


def _control_plane(starts: cold_start.ColdStarts) -> str:
    """The Lambdas' own CPU, by what one request took on the benchmark's machine."""
    ms = {each.request: each.cpu_ms for each in starts.requests}
    create, webhook = ms["create a call"], ms["webhook call.hangup"]
    busy = BURST.rate * (create + WEBHOOKS * webhook) / 1000
    return (
        f"At {BURST.rate:.0f} creates a second the Lambdas' own work is {busy:.1f} cores' worth,"
        f" by {create:.1f} ms for a create\nand {webhook:.1f} ms for each of {WEBHOOKS} webhooks"
        " (docs/performance.md); the rest of their time they wait.\n"
    )


def _growth(known: results.Results) -> str:
    return "".join(
        f"* {audio}: {told(core_shares(known, 'phonebridge', audio))}\n" for audio in ModelAudio
    )


INTRODUCTION = """\
# Scale

Made by `make bench-scale`: it makes one whole call on the local stack, writes down all that
DynamoDB is asked for, and multiplies; then it lets a thousand calls and more happen at once, in
virtual time. Nothing on this page was measured on AWS.
"""
GROWTH = """\
## Growth

Of one core, as `make bench` measured it; docs/performance.md has the figures and draws the curves.
"""


def main() -> None:
    one = asyncio.run(count_one_call())
    storms = storm_page.weather()
    PAGE.write_text(render(one, results.load(), cores.load(), cold_start.load(), storms))


if __name__ == "__main__":
    main()
