"""Describes the progress of a deployment, its usual duration, and why it failed. This module is
pure: it turns events of CloudFormation into lines of text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

MINUTE_SECONDS = 60
REPORT_SECONDS = 60
"""Print at least one line a minute, so that a wait does not look like a hang."""


@dataclass(frozen=True, slots=True)
class StackEvent:
    at: datetime
    resource: str
    kind: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Usual:
    """Estimated duration for a kind of resource. No stack has been deployed yet."""

    what: str
    minutes: tuple[int, int]
    if_longer: str = ""


USUAL = {
    "AWS::CertificateManager::Certificate": Usual(
        "the certificate is validated through DNS",
        (1, 5),
        "DNS does not answer as the zone says. Compare the name servers of the domain at its "
        "registrar with those of the zone",
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Usual("the load balancer starts", (2, 4)),
    "AWS::EC2::NatGateway": Usual("the NAT gateway starts", (2, 3)),
    "AWS::ECS::Service": Usual(
        "containers start, pass their health checks and are watched for five minutes",
        (7, 12),
        "the containers do not start or do not stay healthy. `make logs` shows their last lines",
    ),
    "AWS::DynamoDB::Table": Usual("the table is created", (1, 2)),
    "AWS::ApiGatewayV2::DomainName": Usual("the API's host name is set up", (1, 3)),
}
CANCELLED = "cancelled"
"""Part of the reason of each resource that failed only because another one had."""


@dataclass(slots=True)
class Progress:
    """Turns the events of one operation into lines, each one once."""

    started: datetime
    _waiting: dict[str, StackEvent] = field(default_factory=dict)
    _overdue: set[str] = field(default_factory=set)
    _reported_at: datetime | None = None

    def lines(self, events: Iterable[StackEvent], now: datetime) -> list[str]:
        """Return the lines for the events since the last call, which are sorted oldest first."""
        lines = [line for event in events for line in self._line_of(event)]
        lines += self._overdue_lines(now)
        silent_since = self._reported_at or self.started
        if not lines and (now - silent_since).total_seconds() >= REPORT_SECONDS:
            lines = [self._summary(now)]
        if lines:
            self._reported_at = now
        return lines

    def _line_of(self, event: StackEvent) -> Iterator[str]:
        usual = USUAL.get(event.kind)
        if event.status.endswith("_FAILED") and not _is_consequence(event):
            yield f"  {event.resource}: {event.status}: {event.reason}"
        if event.status.endswith("_IN_PROGRESS"):
            if usual and event.resource not in self._waiting and not _is_removal(event):
                low, high = usual.minutes
                yield f"  {event.resource}: {usual.what} (usually {low} to {high} min)"
            self._waiting.setdefault(event.resource, event)
            return
        begun = self._waiting.pop(event.resource, None)
        if begun and usual and event.status.endswith("_COMPLETE") and not _is_removal(event):
            yield f"  {event.resource}: done after {_duration(begun.at, event.at)}"

    def _overdue_lines(self, now: datetime) -> Iterator[str]:
        for name, begun in self._waiting.items():
            usual = USUAL.get(begun.kind)
            if not usual or not usual.if_longer or name in self._overdue or _is_removal(begun):
                continue
            if (now - begun.at).total_seconds() > 2 * usual.minutes[1] * MINUTE_SECONDS:
                self._overdue.add(name)
                yield f"  {name}: longer than usual. Probably {usual.if_longer}."

    def _summary(self, now: datetime) -> str:
        names = ", ".join(sorted(self._waiting)) or "CloudFormation"
        return f"  {_duration(self.started, now)}: waiting for {names}"


def failures(events: Sequence[StackEvent]) -> list[str]:
    """Return the resources that failed by themselves, oldest first."""
    return [
        f"{event.resource} ({event.kind}): {event.reason}"
        for event in events
        if event.status.endswith("_FAILED") and not _is_consequence(event)
    ]


def _is_consequence(event: StackEvent) -> bool:
    return CANCELLED in event.reason or event.kind == "AWS::CloudFormation::Stack"


def _is_removal(event: StackEvent) -> bool:
    return event.status.startswith("DELETE_")


def _duration(start: datetime, end: datetime) -> str:
    minutes, seconds = divmod(round((end - start).total_seconds()), MINUTE_SECONDS)
    return f"{minutes}:{seconds:02d} min"
