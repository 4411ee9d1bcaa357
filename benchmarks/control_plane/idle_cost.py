"""What a stack without calls costs: its resources come from template.yaml, and prices are published
list prices of us-east-1."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws.template import Template, load_template
from benchmarks.control_plane.dynamodb_units import READ_UNIT_BYTES
from benchmarks.control_plane.limits import SLOTS, TASK_BYTES
from phonebridge.liveness import HEARTBEAT_SECONDS

# US dollars in us-east-1: list prices of September 2026 (ECS, ELB and VPC pages). Those of the HTTP
# API, egress and CloudWatch were not looked up: check them before you rely on a cent.
VCPU_HOUR, GB_HOUR = 0.03238, 0.00356  # Fargate, arm64
ALB_HOUR, LCU_HOUR = 0.0225, 0.008
IPV4_HOUR = 0.005
EGRESS_GB = 0.09
NAT_HOUR, NAT_GB = 0.045, 0.045
ALARM_METRIC, CUSTOM_METRIC, SECRET = 0.10, 0.30, 0.40  # per month
WRITE_UNITS, READ_UNITS, QUEUE_REQUESTS = 0.625, 0.125, 0.40  # per million
SMALL_THINGS = 0.30
"""Dollars per month for the sweep, its log lines, and the images in the repository."""
HOURS_PER_MONTH = 730

IDLE_METRICS = 9
"""Metrics that are published without calls: seven by a task, two by the sweep."""
ALARMS_OF_SCALING = 2
"""Target tracking makes an alarm for each direction, and each watches all metrics of the policy."""
POLLERS, POLL_SECONDS = 5, 20
"""How Lambda polls an empty queue (AWS Lambda, "Using Lambda with Amazon SQS")."""

TEMPLATE = load_template()
ZONES = sum(name.startswith("PublicSubnet") for name in TEMPLATE.of_type("AWS::EC2::Subnet"))
[_scaling] = TEMPLATE.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
_tracking = _scaling["TargetTrackingScalingPolicyConfiguration"]
FILL: float = _tracking["TargetValue"] / 100
"""The share of slots in use that the scaling policy aims for."""


@dataclass(frozen=True, slots=True)
class TaskSize:
    cpu: int
    """In the units of ECS: 1,024 are a vCPU."""
    mib: int
    calls: int

    @property
    def vcpu(self) -> float:
        return self.cpu / 1024

    @property
    def dollars_per_hour(self) -> float:
        return self.vcpu * VCPU_HOUR + self.mib / 1024 * GB_HOUR


def size_of(template: Template, cpu: int | None = None, calls: int | None = None) -> TaskSize:
    """Return the size of a task with these parameters, or with the defaults."""
    cpu = cpu or int(template.parameters["MediaTaskCpu"]["Default"])
    calls = calls or int(template.parameters["MaxCallsPerTask"]["Default"])
    return TaskSize(cpu, template.mappings["MemoryByCpu"][str(cpu)]["MiB"], calls)


SMALL = size_of(TEMPLATE)
LARGE = size_of(TEMPLATE, 1024, SLOTS)
"""The size for many calls: each task needs an address, whatever its size."""


def waiting_month(template: Template, size: TaskSize, tasks: int = 1) -> dict[str, float]:
    """Dollars per month for a stack without calls, by what they are for."""
    addresses = tasks + ZONES
    return {
        f"Fargate: {tasks} task of {size.vcpu:g} vCPU and {size.mib / 1024:g} GB": (
            HOURS_PER_MONTH * tasks * size.dollars_per_hour
        ),
        "load balancer": HOURS_PER_MONTH * ALB_HOUR,
        f"{addresses} public IPv4 addresses": HOURS_PER_MONTH * IPV4_HOUR * addresses,
        **_standing(template, tasks),
    }


def _standing(template: Template, tasks: int) -> dict[str, float]:
    alarms = _alarm_metrics(template)
    queues = len(template.queues_of_functions())
    polls = queues * POLLERS * HOURS_PER_MONTH * 3600 / POLL_SECONDS
    return {
        f"alarms: {alarms} metrics": ALARM_METRIC * alarms,
        f"{IDLE_METRICS} metrics of our own": CUSTOM_METRIC * IDLE_METRICS,
        "heartbeats": _heartbeats(tasks),
        f"{queues} queues, polled by Lambda": QUEUE_REQUESTS * polls / 1e6,
        "secret": SECRET * len(template.of_type("AWS::SecretsManager::Secret")),
        "sweep, logs, image": SMALL_THINGS,
    }


def standing_month(template: Template, tasks: int) -> float:
    return sum(_standing(template, tasks).values())


def _alarm_metrics(template: Template) -> int:
    """Alarms are billed by the metrics they watch. That of the API's own name is optional."""
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    always = [each for name, each in alarms.items() if name != "ApiCertificateAlarm"]
    watched = [_metrics(each.get("Metrics", [])) or 1 for each in always]
    tracked = _metrics(_tracking["CustomizedMetricSpecification"]["Metrics"])
    return sum(watched) + ALARMS_OF_SCALING * tracked


def _metrics(queries: Sequence[Mapping[str, object]]) -> int:
    return sum("MetricStat" in each for each in queries)


def _heartbeats(tasks: int) -> float:
    """Each task writes one, and reads those of all tasks at half a unit for 4 KB."""
    beats = tasks * HOURS_PER_MONTH * 3600 / HEARTBEAT_SECONDS
    reads = math.ceil(tasks * TASK_BYTES / READ_UNIT_BYTES) / 2
    return beats * (WRITE_UNITS + reads * READ_UNITS) / 1e6


def table(template: Template) -> str:
    terms = waiting_month(template, SMALL)
    rows = "".join(f"| {name} | {dollars:.2f} |\n" for name, dollars in terms.items())
    total = sum(terms.values())
    second = sum(waiting_month(template, SMALL, tasks=2).values()) - total
    large = sum(waiting_month(template, LARGE).values())
    return (
        f"| each month | $ |\n|---|--:|\n{rows}| **sum** | **{total:.2f}** |\n\n"
        f"A second task, which production should have, adds {second:.0f} dollars. With one task of"
        f" {LARGE.vcpu:g} vCPU\n(`MediaTaskCpu={LARGE.cpu}`, `MaxCallsPerTask={LARGE.calls}`), the"
        f" sum is {large:.0f}. AWS charges nothing for the first ten\nalarms and metrics of an"
        " account.\n"
    )
