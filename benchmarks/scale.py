"""Where the next limit lies: what one call asks of DynamoDB, counted while a whole call runs on the
local stack, and what a thousand times as many ask of each shared thing. Counts, no times; the page
is docs/scale.md (`make bench-scale`).
"""

import asyncio
import importlib
import logging
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from moto.dynamodb.responses import DynamoHandler

import results
from dynamodb import create_table, dynamodb, local_client
from media_bridge.task import BEAT_PAUSE_SECONDS, HEARTBEAT_SECONDS, MAILBOX_SECONDS
from phonebridge.store import SHARDS
from simulators.scenario import APPOINTMENT
from stack import TABLE, Plan, free_port, running
from template import load_template

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
LOG = ROOT / ".build" / "scale.log"
CALLEE = "+15550123"
LAST_WRITES_SECONDS = 5.0
CALL_MINUTES = 3.0
"""Of the calls on paper."""
CONCURRENT_CALLS = (100, 1_000, 10_000, 100_000)
SLOTS = 40
"""Calls of one task: the default of MAX_CALLS_PER_TASK."""
RING_SECONDS = 15.0
WEBHOOKS = 5
"""Of an outbound call: initiated, answered, streaming started and stopped, hung up."""
CREATE_SECONDS, WEBHOOK_SECONDS = 0.5, 0.1
"""How long a Lambda is busy, Telnyx's own answer included."""
TASK_BYTES, RESERVATION_BYTES = 150, 90
"""Of the fleet's rows."""

# DynamoDB, "Read/write capacity mode": what a unit holds; "Partitions": what one takes a second.
WRITE_UNIT_BYTES, READ_UNIT_BYTES = 1024, 4096
PARTITION_WRITES, PARTITION_READS = 1000, 3000


class Asked(msgspec.Struct, frozen=True):
    """One request of DynamoDB, as it is billed."""

    operation: str
    partition: str
    """The kind of its partition: `CALL`, `FLEET` …"""
    write_units: float = 0
    read_units: float = 0
    indexed: tuple[str, ...] = ()
    """Indexes that a write goes on to."""


@dataclass(frozen=True, slots=True)
class OneCall:
    """What was asked between the request for a call and its last write."""

    asked: list[Asked]
    seconds: float

    def writes(self, partition: str) -> float:
        return sum(each.write_units for each in self.asked if each.partition == partition)

    def index_writes(self, index: str) -> float:
        return sum(each.write_units for each in self.asked if index in each.indexed)

    @property
    def all_writes(self) -> float:
        base = sum(each.write_units for each in self.asked)
        return base + sum(each.write_units * len(each.indexed) for each in self.asked)


@dataclass(frozen=True, slots=True)
class Limit:
    """A shared thing: how much of it is asked for a second, and how much there is."""

    name: str
    load: float
    most: float
    remedy: str

    @property
    def share(self) -> float:
        return self.load / self.most


@contextmanager
def listening() -> Iterator[list[Asked]]:
    """Everything that the DynamoDB of this process is asked for."""
    heard: list[Asked] = []
    answer = DynamoHandler.call_action

    def call_action(handler: DynamoHandler) -> Any:
        operation = handler.headers["X-Amz-Target"].partition(".")[2]
        answered = answer(handler)
        heard.extend(_billed(operation, handler.body))
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
    units = math.ceil(_bytes(item) / WRITE_UNIT_BYTES)
    indexed = tuple(index for index in ("live", "ended") if index in item)
    return Asked(operation, _kind(item["pk"]["S"]), write_units=units, indexed=indexed)


def _bytes(item: dict[str, Any]) -> int:
    """DynamoDB, "Item sizes and formats": names and values, in UTF-8."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(attribute: dict[str, Any]) -> int:
    match attribute:
        case {"M": values}:
            return 3 + sum(1 + len(n.encode()) + _value_bytes(v) for n, v in values.items())
        case {"N": number}:
            return math.ceil(len(number) / 2) + 1
        case {"S": text}:
            return len(text.encode())
    return 1


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
            loop = asyncio.get_running_loop()
            heard.clear()
            began = loop.time()
            async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as api:
                body = {"to": CALLEE, "instructions": "Be brief."}
                (await api.post("/api/ai-calls/create", json=body)).raise_for_status()
            assert stack.telnyx is not None
            await stack.telnyx.calls[0].ended.wait()
            seconds = loop.time() - began
            await asyncio.sleep(LAST_WRITES_SECONDS)
            return OneCall(list(heard), seconds)


def _handlers_log_to(path: Path) -> None:
    importlib.import_module("control_plane")
    for handler in logging.getLogger("control-plane").handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(path.open("a"))


def limits(one: OneCall, calls: int) -> list[Limit]:
    """What `calls` at a time ask for, each as long as `CALL_MINUTES`."""
    rate = calls / (CALL_MINUTES * 60)
    tasks = math.ceil(calls / SLOTS)
    busy = rate * (CREATE_SECONDS + WEBHOOKS * WEBHOOK_SECONDS)
    ended, live = (rate * one.index_writes(index) / SHARDS for index in ("ended", "live"))
    return [
        Limit("Telnyx: calls at a time", calls, 10, "ask their support; account level 2"),
        Limit("Fargate: vCPU of the account", tasks, 6, "a quota request (L-3032A538)"),
        Limit("Lambda: runs at a time", busy, 1000, "a quota request"),
        Limit("load balancer: targets of a group", tasks, 1000, "a quota request, or two groups"),
        Limit(
            "partition `FLEET`: writes a second",
            _fleet_writes(rate, tasks),
            PARTITION_WRITES,
            "reservations in partitions of their own",
        ),
        Limit(
            "partition `FLEET`: reads a second",
            _fleet_reads(rate, tasks),
            PARTITION_READS,
            "a summary of the fleet in place of its rows",
        ),
        Limit("index `live`: writes a second and shard", live, PARTITION_WRITES, "more `SHARDS`"),
        Limit("index `ended`: writes a second and shard", ended, PARTITION_WRITES, "more `SHARDS`"),
        Limit("table: writes a second", rate * one.all_writes, 40_000, "a quota request"),
        Limit(
            "partition `TASK`: reads a second and task",
            0.5 / MAILBOX_SECONDS,
            PARTITION_READS,
            "none needed: it does not grow",
        ),
    ]


def _fleet_writes(rate: float, tasks: int) -> float:
    """A reservation comes and goes with each call; a task beats when its calls change, and else
    now and then."""
    changes = 2 * rate / tasks + 1 / HEARTBEAT_SECONDS
    return 2 * rate + tasks * min(changes, 1 / BEAT_PAUSE_SECONDS)


def _fleet_reads(rate: float, tasks: int) -> float:
    """A Lambda that creates calls looks at the whole fleet, at most once a second."""
    looks = max(min(rate, 1.0), rate * CREATE_SECONDS)
    fleet_bytes = tasks * TASK_BYTES + rate * RING_SECONDS * RESERVATION_BYTES
    return looks * math.ceil(fleet_bytes / READ_UNIT_BYTES) / 2


def render(one: OneCall, known: results.Results) -> str:
    return "\n".join((INTRODUCTION, _call(one), _limits(one), GROWTH, _growth(known), ""))


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
    columns = " | ".join(f"{calls:,} calls" for calls in CONCURRENT_CALLS)
    rows = (
        f"| {row[0].name} ({row[0].most:,.0f}) |"
        + "".join(f" {limit.share:.2f} |" for limit in row)
        + f" {row[0].remedy} |"
        for row in zip(*(limits(one, calls) for calls in CONCURRENT_CALLS), strict=True)
    )
    return "\n".join(
        (
            f"## Many calls of {CALL_MINUTES:.0f} minutes\n",
            f"In tasks of {SLOTS} calls. Above 1 a limit is passed; limits are the defaults of a"
            " new account, where more can be asked for.\n",
            f"| what is shared | {columns} | remedy |\n|---|{'--:|' * len(CONCURRENT_CALLS)}---|",
            *rows,
            "",
        )
    )


def _growth(known: results.Results) -> str:
    rows = [
        f"| {case.audio} | {case.calls} | {best.cpu_per_call_minute * case.calls / 60:.0%} |"
        for case in sorted(known.cases(), key=lambda case: (case.audio, case.calls))
        if (case.target, case.tls) == ("phonebridge", False) and (best := known.best(case))
    ]
    return "| audio | calls | CPU |\n|---|--:|--:|\n" + "\n".join(rows)


INTRODUCTION = """\
# Scale

Made by `make bench-scale`: it makes one whole call on the local stack, writes down all that
DynamoDB is asked for, and multiplies. Nothing on this page was measured on AWS.
"""
GROWTH = """\
## Growth

Of one core, as `make bench` measured it; docs/performance.md has the rest.
"""


def main() -> None:
    one = asyncio.run(count_one_call())
    PAGE.write_text(render(one, results.load()))


if __name__ == "__main__":
    main()
