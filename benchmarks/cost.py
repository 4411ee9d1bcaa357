"""What a minute of a call costs at AWS, and what carries it: the tables of docs/operations.md.

Prices are published ones, and the bytes follow from the formats; what a call takes of a core is
the benchmark's own figure (results.json). Nothing here was read off a bill.

python benchmarks/cost.py        writes the tables
"""

import math
from dataclasses import dataclass
from pathlib import Path

import results
from phonebridge.settings import ModelAudio
from results import Case, Results

OPERATIONS = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- cost: begin -->\n", "<!-- cost: end -->\n"

# us-east-1, dollars, list prices read in September 2026 (ECS, ELB and VPC pages); HTTP API, egress
# and CloudWatch from memory of their pages: check them before you rely on a cent.
VCPU_HOUR, GB_HOUR = 0.03238, 0.00356  # Fargate, arm64
ALB_HOUR, LCU_HOUR = 0.0225, 0.008
IPV4_HOUR = 0.005
EGRESS_GB = 0.09
NAT_HOUR, NAT_GB = 0.045, 0.045
CALL = 0.00006
"""A create and ten webhooks, 43 write units (docs/scale.md), their logs."""
MONTH = 5.0
"""Secret, alarms, metrics, dashboard."""
HOURS_PER_MONTH = 730

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
        fargate=tasks * (TASK_VCPU * VCPU_HOUR + TASK_GB * GB_HOUR),
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
    return "\n".join([_cpu(known), _by_size(), _by_term(1_000), _waiting(), _beside_the_model()])


def _cpu(known: Results) -> str:
    shares = []
    for audio in ModelAudio:
        figures = known.best(Case("phonebridge", audio, tls=False, calls=CALLS_PER_TASK))
        if figures:
            share = CALLS_PER_TASK * figures.cpu_per_call_minute / 60
            shares.append(f"{share:.0%} in {audio}")
    return (
        f"A full task ({CALLS_PER_TASK} calls) took {' and '.join(shares)} of one core of the"
        f" benchmark's machine,\nwithout TLS. It is kept at {FILL:.0%} of its slots,"
        f" {CALLS_PER_TASK * FILL:.0f} calls.\n"
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


def _by_term(calls: int) -> str:
    names = ("fargate", "balancer", "addresses", "egress", "control_plane", "standing")
    head = f"Of a call-minute among {calls:,} calls, in thousandths of a cent:\n\n"
    head += f"| | {' | '.join(name.replace('_', ' ') for name in names)} |\n"
    head += f"|---|{'--:|' * len(names)}\n"
    rows = []
    for audio in ModelAudio:
        of = hour(calls, audio)
        terms = [getattr(of, name) / (calls * 60) * 100_000 for name in names]
        rows.append(f"| {audio} | {' | '.join(f'{term:.1f}' for term in terms)} |\n")
    return head + "".join(rows)


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


def _beside_the_model() -> str:
    prices = {
        name: (1 - SPEECH) * caller + SPEECH * agent
        for name, (caller, agent) in MODEL_MINUTE.items()
    }
    told = " or ".join(f"{100 * price:.1f} ({name})" for name, price in prices.items())
    ours = 100 * hour(1_000, ModelAudio.PCM24K).per_call_minute
    return (
        f"Beside that {ours:.2f} cents, a minute of the model's audio, half of it the caller's,\n"
        f"costs {told} at list prices.\n"
        "What the model remembers is billed again with every answer, and the carrier's minutes\n"
        "come on top.\n"
    )


def rewritten(page: str, known: Results) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tables(known) + END + after


def main() -> None:
    OPERATIONS.write_text(rewritten(OPERATIONS.read_text(), results.load()))


if __name__ == "__main__":
    main()
