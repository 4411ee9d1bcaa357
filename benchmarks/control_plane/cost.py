"""Writes the tables of docs/cost.md: what a stack without calls and a minute of a call cost at AWS,
and how many tasks carry the calls.

Sizes and resources come from template.yaml, and prices are published list prices. Bytes follow
from the audio formats, and the CPU time of a call comes from results.json. Nothing was taken from a
bill.

make cost        writes the tables
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.control_plane import idle_cost
from benchmarks.control_plane.idle_cost import (
    ALB_HOUR,
    EGRESS_GB,
    FILL,
    HOURS_PER_MONTH,
    IPV4_HOUR,
    LARGE,
    LCU_HOUR,
    NAT_GB,
    NAT_HOUR,
    SMALL,
    TEMPLATE,
    ZONES,
    TaskSize,
    standing_month,
)
from benchmarks.media import results, small_task
from benchmarks.media.results import Case, Results
from phonebridge.settings import ModelAudio

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cost.md"
BEGIN, END = "<!-- cost: begin -->\n", "<!-- cost: end -->\n"

CALL = 0.00006
"""Dollars per call for a create, ten webhooks, the write units of docs/scale.md, and their logs."""

# Telnyx's price list of voice-api, 27 August 2026: a call uses Call Control and one media stream.
TELNYX_MINUTE = {"Call Control": 0.002, "media streaming": 0.0035}
CARRIER_MINUTE = 0.0032
"""An inbound call to a local number in the US (telnyx.com/pricing/elastic-sip, 30 September
2026)."""

# Dollars for a minute of the caller's and of the agent's audio: 600 and 1,200 tokens (OpenAI,
# "Managing costs" and the models' pages, November 2026).
MODEL_MINUTE = {"gpt-realtime-2.1-mini": (0.006, 0.024), "gpt-realtime-2.1": (0.0192, 0.0768)}

CALL_MINUTES = 3
SPEECH = 0.5
"""The share of a call in which the agent speaks."""

FRAMES = 50  # per second
PHONE_BYTES = 8000 * 4 / 3  # per second, G.711 in base64
PHONE_ENVELOPE = 190  # bytes of JSON around one media frame from Telnyx
MODEL_ENVELOPE = 80  # bytes of JSON, WebSocket and TLS around one append
MODEL_BYTES = {ModelAudio.PCM24K: 48_000 * 4 / 3, ModelAudio.G711: 8_000 * 4 / 3}

SIZES = (10, 100, 1_000, 10_000)
TYPICAL = 1_000
"""Concurrent calls in the tables that show one size only."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Dollars per hour for a number of concurrent calls."""

    calls: int
    tasks: int
    fargate: float
    balancer: float
    addresses: float
    egress: float
    control_plane: float
    standing: float

    @property
    def total(self) -> float:
        terms = (self.fargate, self.balancer, self.addresses, self.egress)
        return sum(terms) + self.control_plane + self.standing

    @property
    def per_call_minute(self) -> float:
        return self.total / (self.calls * 60)


def hour(calls: int, audio: ModelAudio, size: TaskSize) -> Hour:
    tasks = math.ceil(calls / (size.calls * FILL))
    return Hour(
        calls,
        tasks,
        fargate=tasks * size.dollars_per_hour,
        balancer=ALB_HOUR + LCU_HOUR * calls * _gb_per_hour(_from_phone() + _to_phone()),
        addresses=IPV4_HOUR * (tasks + ZONES),
        egress=EGRESS_GB * calls * _gb_per_hour(_to_phone() + _to_model(audio)),
        control_plane=CALL * calls * 60 / CALL_MINUTES,
        standing=standing_month(TEMPLATE, tasks) / HOURS_PER_MONTH,
    )


def nat_per_call_minute(calls: int, audio: ModelAudio) -> float:
    """Dollars that VpcMode=private adds. The model's audio passes the NAT gateway too."""
    from_model = SPEECH * MODEL_BYTES[audio]
    gb = calls * _gb_per_hour(_to_model(audio) + from_model)
    saved = IPV4_HOUR * (hour(calls, audio, LARGE).tasks - ZONES)
    return (ZONES * NAT_HOUR + NAT_GB * gb - saved) / (calls * 60)


def _from_phone() -> float:
    """Bytes per second."""
    return PHONE_BYTES + FRAMES * PHONE_ENVELOPE


def _to_phone() -> float:
    return SPEECH * PHONE_BYTES * 1.25  # JSON adds a quarter to the shortest chunk


def _to_model(audio: ModelAudio) -> float:
    return MODEL_BYTES[audio] + FRAMES * MODEL_ENVELOPE


def _gb_per_hour(bytes_per_second: float) -> float:
    return bytes_per_second * 3600 / 1e9


def tables(known: Results) -> str:
    parts = [
        "## A stack without calls\n",
        idle_cost.table(TEMPLATE),
        "## A thousand call-minutes\n",
        _thousand(known),
        "## Telnyx, the carrier and the model\n",
        _beside_aws(),
        "## By size\n",
        _by_size(),
        "## What a quarter of a vCPU carries\n",
        _small_task(),
    ]
    return "\n".join(parts)


def _thousand(known: Results) -> str:
    cpu = [_cpu(known, audio) for audio in ModelAudio]
    carried = [_calls_per_core(known, audio) for audio in ModelAudio]
    hours = [hour(TYPICAL, audio, LARGE) for audio in ModelAudio]
    fargate = [_fargate(known, audio) for audio in ModelAudio]
    rest = [_thousandth(each.total - each.fargate) for each in hours]
    head = f"With {TYPICAL:,} concurrent calls. Figures without a unit are dollars.\n\n"
    head += f"| | {' | '.join(ModelAudio)} |\n|---|{'--:|' * len(ModelAudio)}\n"
    rows = [
        _cells(f"CPU s per call-minute, {LARGE.calls} calls on one core, measured", cpu, ".3f"),
        _cells("calls per vCPU: 60 s divided by that", [each and 60 / each for each in cpu], ".0f"),
        _cells("calls that one core carried, measured", carried, ".0f"),
        _cells("Fargate, with the smaller of these as slots of a task", fargate, ".3f"),
        _cells("Fargate as deployed", [_thousandth(each.fargate) for each in hours], ".3f"),
        _cells("load balancer", [_thousandth(each.balancer) for each in hours], ".3f"),
        _cells("IPv4 addresses", [_thousandth(each.addresses) for each in hours], ".3f"),
        _cells("outgoing traffic", [_thousandth(each.egress) for each in hours], ".3f"),
        _cells(
            "API, Lambda, table, logs", [_thousandth(each.control_plane) for each in hours], ".3f"
        ),
        _cells("**AWS, with as many slots as measured**", map(_sum, fargate, rest), ".3f"),
        _cells("**AWS, as deployed**", [_thousandth(each.total) for each in hours], ".3f"),
    ]
    return head + "".join(rows) + DEPLOYED


def _thousandth(dollars_per_hour: float) -> float:
    """Convert dollars per hour to dollars per 1,000 call-minutes."""
    return dollars_per_hour / (TYPICAL * 60) * 1000


def _sum(fargate: float | None, rest: float) -> float | None:
    return None if fargate is None else fargate + rest


def _cells(name: str, values: Iterable[float | None], form: str) -> str:
    cells = ("not measured" if value is None else f"{value:{form}}" for value in values)
    return f"| {name} | {' | '.join(cells)} |\n"


def _cpu(known: Results, audio: ModelAudio) -> float | None:
    figures = known.best(Case("phonebridge", audio, tls=False, calls=LARGE.calls))
    return figures.cpu_per_call_minute if figures else None


def _calls_per_core(known: Results, audio: ModelAudio) -> float | None:
    return next(
        (
            each.calls
            for each in known.capacities
            if (each.target, each.audio, each.tls) == ("phonebridge", audio, False)
        ),
        None,
    )


def _fargate(known: Results, audio: ModelAudio) -> float | None:
    """Dollars per 1,000 call-minutes if a task has as many slots as a vCPU carried in the
    benchmark. The share of slots in use is the same."""
    cpu = _cpu(known, audio)
    if cpu is None:
        return None
    slots = min(60 / cpu, _calls_per_core(known, audio) or math.inf)
    return LARGE.dollars_per_hour / LARGE.vcpu / (slots * FILL * 60) * 1000


def _beside_aws() -> str:
    prices = {
        name: (1 - SPEECH) * caller + SPEECH * agent
        for name, (caller, agent) in MODEL_MINUTE.items()
    }
    models = " or ".join(f"{1000 * price:.0f} ({name})" for name, price in prices.items())
    telnyx = " and ".join(f"{1000 * price:.2f} for {name}" for name, price in TELNYX_MINUTE.items())
    return (
        "Dollars per 1,000 minutes, in addition to AWS:\n\n"
        f"* Telnyx: {telnyx}.\n"
        f"* The model's audio at list prices: {models}, if the\n  agent speaks half of the time."
        " Real calls cost more, because every response bills the conversation\n  so far again.\n"
        f"* The carrier: {1000 * CARRIER_MINUTE:.2f} for inbound calls to a local number in the US"
        " (Telnyx). Outbound prices depend on\n  the destination.\n"
    )


def _by_size() -> str:
    head = (
        "| concurrent calls | tasks | vCPU (twice as many during a deployment) | calls placed per"
        " second | $ per hour, pcm24k | $ per call-minute, pcm24k | $ per call-minute, g711 |"
        f" $ added by private subnets | tasks of {SMALL.vcpu:g} vCPU | $ per hour with them |\n"
        f"|{'--:|' * 10}\n"
    )
    return head + "".join(_size(calls) for calls in SIZES) + SIZES_OF_TASKS


def _size(calls: int) -> str:
    pcm, g711 = (hour(calls, audio, LARGE) for audio in (ModelAudio.PCM24K, ModelAudio.G711))
    small = hour(calls, ModelAudio.PCM24K, SMALL)
    return (
        f"| {calls:,} | {pcm.tasks} | {pcm.tasks * LARGE.vcpu:g} |"
        f" {calls / CALL_MINUTES / 60:.2g} | {pcm.total:.2f} | {pcm.per_call_minute:.5f} |"
        f" {g711.per_call_minute:.5f} | {nat_per_call_minute(calls, ModelAudio.PCM24K):.5f} |"
        f" {small.tasks} | {small.total:.2f} |\n"
    )


def _small_task() -> str:
    stored = small_task.load()
    return "\n".join(
        (
            f"Measured with {small_task.CALLS} calls and TLS to the model, on {stored.machine}"
            f"\n({stored.date}):\n",
            *small_task.table(stored),
            SMALL_TASK,
        )
    )


SIZES_OF_TASKS = f"""
The first columns are for tasks of {LARGE.vcpu:g} vCPU with {LARGE.calls} calls, the last two \
for those of
{SMALL.vcpu:g} vCPU with {SMALL.calls}, the default. A task needs an address of its own, so the \
larger ones are
cheaper for many calls: `--set MediaTaskCpu={LARGE.cpu} --set MaxCallsPerTask={LARGE.calls}`.
"""
SMALL_TASK = """
`make bench-quarter` limits the container by the quota of the Linux scheduler, as container engines
do: a share of a core in every 100 ms. A program that has used its share stands still until the
next 100 ms. Whether Fargate limits in the same way is not documented. An eighth stands for a core
that is half as fast. Delays include the filter of the resampler.

This machine is slower than that of [performance](performance.md), and other programs ran on it: the
calls used several times the CPU. Even so, a quarter carried ten calls without a late chunk, and its
event loop was never late by the 100 ms of LoopLagAlarm. An eighth did not: on slower cores, lower
`MaxCallsPerTask` to 5, or raise `MediaTaskCpu`, when that alarm fires.
"""
DEPLOYED = f"""
As deployed, a task of {LARGE.vcpu:g} vCPU and {LARGE.mib / 1024:g} GB has {LARGE.calls} \
slots. In both cases,
{FILL:.0%} of the slots are in use. {LARGE.calls} is far below what a core of the benchmark's
machine carries. This leaves room for TLS and for slower cores: those of Fargate were not measured.
"""


def rewritten(page: str, known: Results) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tables(known) + END + after


def main() -> None:
    PAGE.write_text(rewritten(PAGE.read_text(), results.load()))


if __name__ == "__main__":
    main()
