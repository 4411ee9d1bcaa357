"""What storms of growing size ask of each shared thing, and where each is used up: a section of
docs/scale.md.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from textwrap import fill

from figures import percentile
from growth import exponent
from limits import (
    LAMBDA_RUNS,
    NEW_TABLE_WRITES,
    PARTITION_READS,
    PARTITION_WRITES,
    TABLE_WRITES,
    WEBHOOK_REQUESTS,
)
from players import COLD_SECONDS, CPU_SECONDS, HELD_SECONDS, TELNYX_SECONDS, TWICE
from rush import busiest
from simulators.telnyx_webhooks import DELIVERY_TIMEOUT_S, RETRY_DELAYS_MS
from storm import DYNAMODB_SECONDS, PLACING_SECONDS, Passed, Storm, weathered

GROWING = (250, 500, 1_000, 2_000)
BOUNDED = (Storm(1_000), Storm(2_000), Storm(2_000, webhooks_a_second=3_000))
AHEAD = (1_000, 10_000, 100_000)
LEAST_EXPONENT = 0.25
"""What grows slower grows by chance: the fullest of more."""


@dataclass(frozen=True, slots=True)
class Storms:
    growing: Sequence[Passed]
    """Where nothing is refused, so that all of the load is seen."""
    bounded: Sequence[Passed]
    """With the limits of template.yaml and of an account."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that all calls share: what the busiest second of a storm takes of it."""

    name: str
    most: float
    taken: Callable[[Passed], float]


def _written(name: str) -> Callable[[Passed], float]:
    return lambda passed: busiest(passed.table.written, name)


def _read(name: str) -> Callable[[Passed], float]:
    return lambda passed: busiest(passed.table.read, name)


SHARED = (
    Shared("webhooks", WEBHOOK_REQUESTS, lambda passed: max(passed.seen.deliveries.values())),
    Shared("table while it is new: writes", NEW_TABLE_WRITES, _written("items")),
    Shared("table and indexes: writes", TABLE_WRITES, _written("table")),
    Shared("Lambda: runs at a time", LAMBDA_RUNS, lambda passed: passed.seen.most_running),
    Shared("partition `FLEET`: writes", PARTITION_WRITES, _written("FLEET")),
    Shared("partition `FLEET`: reads", PARTITION_READS, _read("FLEET")),
    Shared("fullest shard of index `live`: writes", PARTITION_WRITES, _written("live")),
    Shared("fullest shard of index `live`: reads", PARTITION_READS, _read("live")),
    Shared("fullest shard of index `ended`: writes", PARTITION_WRITES, _written("ended")),
    Shared("fullest mailbox: writes", PARTITION_WRITES, _written("TASK")),
    Shared("fullest mailbox: reads", PARTITION_READS, _read("TASK")),
    Shared("busiest call: writes", PARTITION_WRITES, _written("CALL")),
    Shared("busiest call: reads", PARTITION_READS, _read("CALL")),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """How a shared thing is used up: as a power of the number of calls."""

    shared: Shared
    points: Sequence[tuple[float, float]]

    @property
    def exponent(self) -> float:
        return exponent(self.points)

    def at(self, calls: float) -> float:
        """The share of it that so many calls take, from the largest storm on."""
        largest, taken = self.points[-1]
        grows_with = self.exponent if self.exponent > LEAST_EXPONENT else 0
        return taken / self.shared.most * math.pow(calls / largest, grows_with)

    @property
    def full_at(self) -> float:
        """How many calls use it up."""
        largest, _ = self.points[-1]
        if self.exponent <= LEAST_EXPONENT:
            return inf
        return largest * math.pow(self.at(largest), -1 / self.exponent)


def curves(passed: Sequence[Passed]) -> list[Curve]:
    """The one that is used up first at the head."""
    found = (Curve(each, [(one.storm.calls, each.taken(one)) for one in passed]) for each in SHARED)
    return sorted(found, key=lambda curve: curve.full_at)


def weather() -> Storms:
    return Storms(
        [weathered(Storm(calls, webhooks_a_second=inf, lambdas=inf)) for calls in GROWING],
        [weathered(storm) for storm in BOUNDED],
    )


def section(storms: Storms) -> str:
    return "\n".join(
        (INTRODUCTION, _load(storms.growing), BOUNDS, _outcome(storms.bounded), MEANING)
    )


def _load(passed: Sequence[Passed]) -> str:
    sizes = [one.storm.calls for one in passed]
    ahead = [f"share at {calls:,}" for calls in AHEAD]
    head = ["in the busiest second", *(f"{n:,} calls" for n in sizes), "of", "exponent", *ahead]
    rows = [
        [
            curve.shared.name,
            *(f"{taken:,.0f}" for _, taken in curve.points),
            f"{curve.shared.most:,}",
            f"{curve.exponent:.1f}",
            *(f"{curve.at(calls):.2f}" for calls in AHEAD),
            "never" if curve.full_at == inf else f"{float(f'{curve.full_at:.2g}'):,.0f} calls",
        ]
        for curve in curves(passed)
    ]
    return _table([*head, "full at"], rows)


def _outcome(passed: Sequence[Passed]) -> str:
    told: dict[str, Callable[[Passed], str]] = {
        "deliveries of webhooks": lambda one: f"{one.seen.answers.total():,}",
        "… refused by the route's limit (429)": lambda one: f"{one.seen.answers[429]:,}",
        "… for which no Lambda was left (503)": lambda one: f"{one.seen.answers[503]:,}",
        "… that failed (500)": lambda one: f"{one.seen.answers[500]:,}",
        "webhooks given up by Telnyx": lambda one: f"{one.seen.given_up:,}",
        "a webhook's answer, p99 / longest": lambda one: _spread(one.seen.answer_seconds),
        "from a phone's answer to its media, p99 / longest": lambda one: _spread(
            one.seen.media_seconds
        ),
        "a command's wait in its mailbox, p99 / longest": lambda one: _spread(
            one.seen.mail_seconds
        ),
        "a sweep, longest": lambda one: f"{max(one.seen.sweep_seconds):.1f} s",
        "most commands to Telnyx in a second": lambda one: f"{max(one.seen.commands.values()):,}",
        "races lost, and run again": lambda one: f"{one.races:,}",
        "reports that lost every race": lambda one: f"{one.seen.unwritten:,}",
        "calls turned away for want of room": lambda one: f"{one.seen.turned_away:,}",
    }
    ends = sorted({end for one in passed for end in one.ends}, reverse=True)
    rows = [[name, *(of(one) for one in passed)] for name, of in told.items()]
    rows += [[f"records: {end}", *(f"{one.ends[end]:,}" for one in passed)] for end in ends]
    heads = (
        f"{one.storm.calls:,} calls, {one.storm.webhooks_a_second:,} webhooks a second"
        for one in passed
    )
    return _table(["", *heads], rows)


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return f"{percentile(ordered, 0.99):.2f} / {ordered[-1]:.2f} s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = f"|---|{'--:|' * (len(head) - 1)}"
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join((first, ruler, *others, ""))


def _milliseconds(bounds: tuple[float, float]) -> str:
    return " to ".join(f"{1000 * bound:.0f}" for bound in bounds)


def _filled(text: str) -> str:
    return fill(" ".join(text.split()), 100, break_on_hyphens=False)


_RETRIES = ", ".join(f"{delay_ms / 1000:g}" for delay_ms in RETRY_DELAYS_MS)
PLAYED = f"""
Simulated, and worse than what carriers let happen: calls that were placed within {PLACING_SECONDS}
s are all answered within one second, later all told something (`say`) within one, and all hung up
within one. Admission, webhook handler, switchboard, store, mailbox, fleet and sweep are the code
that is deployed, on virtual time and on a table in memory that counts what DynamoDB bills. Telnyx
and the containers' requests are played: a webhook comes up to {HELD_SECONDS} s late, so that those
of one moment come in any order, and with a chance of {TWICE:.0%} twice; what is not answered 200
within {DELIVERY_TIMEOUT_S:.0f} s comes again {_RETRIES} s later, and then no more (Telnyx publishes
no numbers). Assumed, too: {_milliseconds(DYNAMODB_SECONDS)} ms for a request to DynamoDB,
{_milliseconds(TELNYX_SECONDS)} ms for one to Telnyx, {COLD_SECONDS} s for a new Lambda environment,
and of its processor {CPU_SECONDS * 1000:.0f} ms for each event (4 ms of the core that
docs/performance.md has).
"""
INTRODUCTION = f"""\
## A storm

{_filled(PLAYED)}

First where nothing is refused, so that all of the load is seen. It grows with the calls to the
power of the exponent: 1 is in proportion, 0 not at all. Above 1 a limit is passed; the first to be
stands first.
"""
BOUNDS = f"""\
* Webhooks: refused ones come again, see below. The route's limit in template.yaml can be raised, a
  quota request raises that of Lambda.
* A new table takes {NEW_TABLE_WRITES:,} writes a second, later twice what it ever took; who needs
  more at once sets its `WarmThroughput`. Partitions lend what they did not use for five minutes
  (DynamoDB, "Burst and adaptive capacity"): that is not counted here.
* `FLEET` is the hottest key: a reservation comes with each call, and goes as its phone is answered.
  Its reads alone grow faster than the calls, as more Lambdas look at a larger fleet.
* No call and no mailbox is hot, however many there are.

The same with the limits of template.yaml ({WEBHOOK_REQUESTS:,} webhooks a second, as many at once)
and of an account ({LAMBDA_RUNS:,} Lambdas), and once with a higher limit of the route:
"""
MEANING = """\
`whole`: completed, hung up by the callee, each webhook on the timeline once; turns, usage and
charge are there. `incomplete` lacks what came with a webhook that was given up, `completed:
found_ended` the hangup's: there the sweep asked Telnyx. No call is left open.
"""
