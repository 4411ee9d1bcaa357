"""Computes the load of many calls on every shared resource from the requests of one call."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from benchmarks.control_plane.dynamodb_units import READ_UNIT_BYTES
from media_bridge.runtime.mailbox_reader import READ_SECONDS as MAILBOX_SECONDS
from phonebridge.liveness import HEARTBEAT_SECONDS
from phonebridge.storage.call_store import SHARDS

CALL_MINUTES = 3.0
"""Assumed length of a call."""
SLOTS = 40
"""Calls per task of one vCPU, the cheaper size for many calls (docs/cost.md)."""
RING_SECONDS = 15.0
WEBHOOKS = 10
"""Webhooks per call. A call has at least five: initiated, answered, streaming started and stopped,
hung up. Charges, recordings and answering machines add more."""
CREATES, WEBHOOK_REQUESTS = 5, 1000
"""Requests per second that template.yaml allows by default."""
LAMBDA_RUNS = 1000
"""Concurrent executions: the default quota of an account."""
CREATE_SECONDS, WEBHOOK_SECONDS = 0.5, 0.1
"""How long a Lambda runs, including the wait for Telnyx's response."""
TASK_BYTES, RESERVATION_BYTES = 150, 90
"""Sizes of the two kinds of items in the partition `FLEET`."""

# Units per second (DynamoDB, "Partitions").
PARTITION_WRITES, PARTITION_READS = 1000, 3000
TABLE_WRITES = 40_000
"""Write units per second: the default quota of an account."""
NEW_TABLE_WRITES = 4_000
"""Write units per second of a new on-demand table (DynamoDB, "Initial throughput and scaling
properties")."""


@dataclass(frozen=True, slots=True)
class Load:
    """A number of concurrent calls, and the rate per second at which calls are placed."""

    calls: int
    rate: float
    name: str


def steady(calls: int) -> Load:
    """A load in which as many calls begin as end."""
    return Load(calls, calls / (CALL_MINUTES * 60), f"{calls:,} calls")


BURST = Load(1_000, 50, "1,000 calls, 50 placed a second")
"""The first twenty seconds of a campaign."""
LOADS = (steady(100), steady(1_000), BURST, steady(10_000), steady(100_000))


class Asked(msgspec.Struct, frozen=True):
    """A request to DynamoDB with the units that it is billed."""

    operation: str
    partition: str
    """The prefix of its partition key: `CALL`, `FLEET` …"""
    write_units: float = 0
    read_units: float = 0
    indexed: tuple[str, ...] = ()
    """Indexes to which DynamoDB copies the write."""


@dataclass(frozen=True, slots=True)
class OneCall:
    """The requests from the creation of a call to its last write."""

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
    """A shared resource with its load and its capacity, in the same unit."""

    name: str
    load: float
    most: float
    remedy: str
    is_quota: bool = True
    """True if a request or a setting raises the limit. False if the design sets it."""

    @property
    def share(self) -> float:
        return self.load / self.most


def limits(one: OneCall, load: Load) -> list[Limit]:
    calls, rate, tasks = load.calls, load.rate, math.ceil(load.calls / SLOTS)
    busy = rate * (CREATE_SECONDS + WEBHOOKS * WEBHOOK_SECONDS)
    return [
        Limit("Telnyx: calls at a time", calls, 10, "ask their support; account level 2"),
        Limit("API: creates a second", rate, CREATES, "`CreateCallsPerSecond`"),
        Limit("API: webhooks a second", rate * WEBHOOKS, WEBHOOK_REQUESTS, "the route's limit"),
        Limit("Fargate: vCPU of the account", tasks, 6, "a quota request (L-3032A538)"),
        Limit("Lambda: runs at a time", busy, LAMBDA_RUNS, "a quota request"),
        Limit("load balancer: targets of a group", tasks, 1000, "a quota request, or two groups"),
        *_partition_limits(one, rate, tasks),
        Limit("table: writes a second", rate * one.all_writes, TABLE_WRITES, "a quota request"),
        _by_design(
            "partition `TASK`: reads a second and task",
            0.5 / MAILBOX_SECONDS,
            PARTITION_READS,
            "none needed: it does not grow",
        ),
    ]


def _partition_limits(one: OneCall, rate: float, tasks: int) -> Iterator[Limit]:
    yield _by_design(
        "partition `FLEET`: writes a second",
        _fleet_writes(rate, tasks),
        PARTITION_WRITES,
        "reservations in partitions of their own",
    )
    yield _by_design(
        "partition `FLEET`: reads a second",
        _fleet_reads(rate, tasks),
        PARTITION_READS,
        "a summary of the fleet in place of its rows",
    )
    for index in ("live", "ended"):
        yield _by_design(
            f"index `{index}`: writes a second and shard",
            rate * one.index_writes(index) / SHARDS,
            PARTITION_WRITES,
            "more `SHARDS`",
        )


def _by_design(name: str, load: float, most: float, remedy: str) -> Limit:
    return Limit(name, load, most, remedy, is_quota=False)


def _fleet_writes(rate: float, tasks: int) -> float:
    """Write units per second. Each call adds and deletes a reservation. Each task sends a heartbeat
    at fixed intervals."""
    return 2 * rate + tasks / HEARTBEAT_SECONDS


def _fleet_reads(rate: float, tasks: int) -> float:
    """Read units per second. A Lambda that creates calls reads the fleet at most once a second.
    Each task reads all tasks as often as it sends a heartbeat."""
    looks = max(min(rate, 1.0), rate * CREATE_SECONDS)
    fleet_bytes = tasks * TASK_BYTES + rate * RING_SECONDS * RESERVATION_BYTES
    watches = tasks / HEARTBEAT_SECONDS * math.ceil(tasks * TASK_BYTES / READ_UNIT_BYTES)
    return (looks * math.ceil(fleet_bytes / READ_UNIT_BYTES) + watches) / 2


def nearest(found: list[Limit]) -> list[Limit]:
    """Return the limits that no request raises, the first to be reached first."""
    own = (each for each in found if not each.is_quota)
    return sorted(own, key=lambda each: each.share, reverse=True)
