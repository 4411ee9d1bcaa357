"""What a minute of a call costs, and what carries it: the tables of docs/cost.md.

Prices are published ones, and the bytes follow from the formats; what a call takes of a core is
the benchmark's own figure (results.json). Nothing here was read off a bill.

python benchmarks/control_plane/cost.py        writes the tables
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.media import results
from benchmarks.media.results import Case, Results
from phonebridge.settings import ModelAudio

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cost.md"
BEGIN, END = "<!-- cost: begin -->\n", "<!-- cost: end -->\n"

# us-east-1, dollars, list prices read in September 2026 (ECS, ELB and VPC pages); HTTP API, egress
# and CloudWatch from memory of their pages: check them before you rely on a cent.
VCPU_HOUR, GB_HOUR = 0.03238, 0.00356  # Fargate, arm64
ALB_HOUR, LCU_HOUR = 0.0225, 0.008
IPV4_HOUR = 0.005
EGRESS_GB = 0.09
NAT_HOUR, NAT_GB = 0.045, 0.045
CALL = 0.00006
"""A create and ten webhooks, the write units of docs/scale.md, their logs."""
MONTH = 5.0
"""Secret, alarms, metrics, dashboard."""
HOURS_PER_MONTH = 730

# Telnyx's price list of voice-api, 27 August 2026: a call is under Call Control, with one stream.
TELNYX_MINUTE = {"Call Control": 0.002, "media streaming": 0.0035}
CARRIER_MINUTE = 0.0032
"""Inbound to a local number in the US (telnyx.com/pricing/elastic-sip, 30 September 2026)."""

# Dollars for a minute of the caller's and of the agent's audio: 600 and 1,200 tokens (OpenAI,
# "Managing costs" and the models' pages, November 2026).
MODEL_MINUTE = {"gpt-realtime-2.1-mini": (0.006, 0.024), "gpt-realtime-2.1": (0.0192, 0.0768)}

# The defaults of template.yaml.
CALLS_PER_TASK = 40
TASK_VCPU, TASK_GB = 1, 2
FILL = 0.55
"""The share of its slots at which the service is kept."""
ZONES = 2

CALL_MINUTES = 3
SPEECH = 0.5
"""The share of a call in which the agent speaks."""

FRAMES = 50  # a second
PHONE_BYTES = 8000 * 4 / 3  # a second of G.711 in base64
PHONE_ENVELOPE = 190  # JSON of one media frame from Telnyx
MODEL_ENVELOPE = 80  # JSON, WebSocket and TLS of one append
MODEL_BYTES = {ModelAudio.PCM24K: 48_000 * 4 / 3, ModelAudio.G711: 8_000 * 4 / 3}

SIZES = (10, 100, 1_000, 10_000)
TYPICAL = 1_000
"""Calls at a time, where one figure stands for all."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Dollars, for so many calls all at the same time."""

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


def hour(calls: int, audio: ModelAudio) -> Hour:
    tasks = math.ceil(calls / (CALLS_PER_TASK * FILL))
    return Hour(
        calls,
        tasks,
        fargate=tasks * _task_hour(),
        balancer=ALB_HOUR + LCU_HOUR * calls * _gb_per_hour(_from_phone() + _to_phone()),
        addresses=IPV4_HOUR * (tasks + ZONES),
        egress=EGRESS_GB * calls * _gb_per_hour(_to_phone() + _to_model(audio)),
        control_plane=CALL * calls * 60 / CALL_MINUTES,
        standing=MONTH / HOURS_PER_MONTH,
    )


def nat_per_call_minute(calls: int, audio: ModelAudio) -> float:
    """What VpcMode=private adds; what the model says comes through the gateway too."""
    from_model = SPEECH * MODEL_BYTES[audio]
    gb = calls * _gb_per_hour(_to_model(audio) + from_model)
    saved = IPV4_HOUR * (hour(calls, audio).tasks - ZONES)
    return (ZONES * NAT_HOUR + NAT_GB * gb - saved) / (calls * 60)


def _from_phone() -> float:
    """Bytes a second."""
    return PHONE_BYTES + FRAMES * PHONE_ENVELOPE


def _to_phone() -> float:
    return SPEECH * PHONE_BYTES * 1.25  # the JSON of a chunk is a quarter of the shortest


def _to_model(audio: ModelAudio) -> float:
    return MODEL_BYTES[audio] + FRAMES * MODEL_ENVELOPE


def _gb_per_hour(bytes_per_second: float) -> float:
    return bytes_per_second * 3600 / 1e9


def tables(known: Results) -> str:
    parts = [
        "## A thousand call-minutes\n",
        _thousand(known),
        "## Telnyx, the carrier and the model\n",
        _beside_aws(),
        "## By size\n",
        _by_size(),
        _waiting(),
    ]
    return "\n".join(parts)


def _thousand(known: Results) -> str:
    cpu = [_cpu(known, audio) for audio in ModelAudio]
    carried = [_carried(known, audio) for audio in ModelAudio]
    hours = [hour(TYPICAL, audio) for audio in ModelAudio]
    fargate = [_fargate(known, audio) for audio in ModelAudio]
    rest = [_thousandth(each.total - each.fargate) for each in hours]
    head = f"Among {TYPICAL:,} calls at a time; dollars where nothing else is said.\n\n"
    head += f"| | {' | '.join(ModelAudio)} |\n|---|{'--:|' * len(ModelAudio)}\n"
    rows = [
        _cells(f"CPU s per call-minute, {CALLS_PER_TASK} calls on one core, measured", cpu, ".3f"),
        _cells("calls per vCPU, 60 s over that", [each and 60 / each for each in cpu], ".0f"),
        _cells("calls that one core carried in time, measured", carried, ".0f"),
        _cells("Fargate with the fewer of these as a task's slots", fargate, ".3f"),
        _cells("Fargate as deployed", [_thousandth(each.fargate) for each in hours], ".3f"),
        _cells("balancer", [_thousandth(each.balancer) for each in hours], ".3f"),
        _cells("addresses", [_thousandth(each.addresses) for each in hours], ".3f"),
        _cells("egress", [_thousandth(each.egress) for each in hours], ".3f"),
        _cells(
            "API, Lambda, table, logs", [_thousandth(each.control_plane) for each in hours], ".3f"
        ),
        _cells("**AWS, with as many slots as were measured**", map(_sum, fargate, rest), ".3f"),
        _cells("**AWS, as deployed**", [_thousandth(each.total) for each in hours], ".3f"),
    ]
    return head + "".join(rows) + DEPLOYED


def _thousandth(dollars_per_hour: float) -> float:
    """Of an hour's dollars, what a thousand of its call-minutes cost."""
    return dollars_per_hour / (TYPICAL * 60) * 1000


def _sum(fargate: float | None, rest: float) -> float | None:
    return None if fargate is None else fargate + rest


def _cells(name: str, values: Iterable[float | None], form: str) -> str:
    told = ("not measured" if value is None else f"{value:{form}}" for value in values)
    return f"| {name} | {' | '.join(told)} |\n"


def _cpu(known: Results, audio: ModelAudio) -> float | None:
    figures = known.best(Case("phonebridge", audio, tls=False, calls=CALLS_PER_TASK))
    return figures.cpu_per_call_minute if figures else None


def _carried(known: Results, audio: ModelAudio) -> float | None:
    return next(
        (
            each.calls
            for each in known.capacities
            if (each.target, each.audio, each.tls) == ("phonebridge", audio, False)
        ),
        None,
    )


def _fargate(known: Results, audio: ModelAudio) -> float | None:
    """Dollars for a thousand call-minutes, in tasks with as many slots as a vCPU was seen to carry,
    kept at the same share of them."""
    cpu = _cpu(known, audio)
    if cpu is None:
        return None
    slots = min(60 / cpu, _carried(known, audio) or math.inf)
    return _task_hour() / TASK_VCPU / (slots * FILL * 60) * 1000


def _task_hour() -> float:
    return TASK_VCPU * VCPU_HOUR + TASK_GB * GB_HOUR


def _beside_aws() -> str:
    prices = {
        name: (1 - SPEECH) * caller + SPEECH * agent
        for name, (caller, agent) in MODEL_MINUTE.items()
    }
    told = " or ".join(f"{1000 * price:.0f} ({name})" for name, price in prices.items())
    telnyx = " and ".join(f"{1000 * price:.2f} for {name}" for name, price in TELNYX_MINUTE.items())
    return (
        "Dollars per 1,000 minutes, on top of what AWS costs:\n\n"
        f"* Telnyx: {telnyx};\n"
        f"* the model's audio, half of it the caller's:\n  {told} at list prices.\n"
        "  What it remembers is billed again with every answer, so that real calls cost more;\n"
        f"* the carrier: {1000 * CARRIER_MINUTE:.2f} inbound to a local number in the US (Telnyx);"
        " outbound by destination.\n"
    )


def _by_size() -> str:
    head = (
        "| calls at once | tasks | vCPU, twice that in a deployment | calls placed per second |"
        " $ per hour | $ per call-minute, pcm24k | g711 | private subnets add |\n"
        f"|{'--:|' * 8}\n"
    )
    return head + "".join(_size(calls) for calls in SIZES)


def _size(calls: int) -> str:
    pcm, g711 = (hour(calls, audio) for audio in (ModelAudio.PCM24K, ModelAudio.G711))
    return (
        f"| {calls:,} | {pcm.tasks} | {pcm.tasks * TASK_VCPU} |"
        f" {calls / CALL_MINUTES / 60:.2g} | {pcm.total:.2f} | {pcm.per_call_minute:.5f} |"
        f" {g711.per_call_minute:.5f} | {nat_per_call_minute(calls, ModelAudio.PCM24K):.5f} |\n"
    )


def waiting_month(vcpu: float, gb: float) -> float:
    """A stack with one task, and nobody calls."""
    addresses = IPV4_HOUR * (1 + ZONES)
    task = vcpu * VCPU_HOUR + gb * GB_HOUR
    return MONTH + HOURS_PER_MONTH * (task + ALB_HOUR + addresses)


def _waiting() -> str:
    whole, half = waiting_month(TASK_VCPU, TASK_GB), waiting_month(TASK_VCPU / 2, TASK_GB / 2)
    return (
        f"A stack that waits for calls costs {whole:.0f} dollars a month with one task of 1 vCPU,\n"
        f"{half:.0f} with one of half a vCPU (`MediaTaskCpu=512`, `MaxCallsPerTask=20`).\n"
    )


DEPLOYED = f"""
As deployed, a task of {TASK_VCPU} vCPU and {TASK_GB} GB has {CALLS_PER_TASK} slots. In both cases,
{FILL:.0%} of the slots are kept in use. {CALLS_PER_TASK} is far below what a core of the
benchmark's machine carries: room for TLS, and for slower cores (Fargate's were not measured).
"""


def rewritten(page: str, known: Results) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tables(known) + END + after


def main() -> None:
    PAGE.write_text(rewritten(PAGE.read_text(), results.load()))


if __name__ == "__main__":
    main()
