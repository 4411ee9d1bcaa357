"""The network of the media plane: zones that Fargate runs in, or a VPC of the user with its routes.

A network that cannot work would show only after ten minutes, when no container becomes healthy.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deployment.answers import Answers
from deployment.problems import Doubt, Missing, Problem
from deployment.stack import DeployedStack

FARGATE_ZONES = {
    "us-west-1": {"usw1-az1", "usw1-az3"},
    "ap-northeast-1": {"apne1-az1", "apne1-az2", "apne1-az4"},
}
"""Ids of the zones with Fargate, of the regions in which not every zone has it (Amazon ECS,
"Supported Regions for Amazon ECS on AWS Fargate")."""
FIXED = ("VpcId", "AvailabilityZones")
"""Parameters that a media plane cannot change: its load balancer stays where it is."""
EVERYWHERE = "0.0.0.0/0"
MIN_BALANCER_ZONES = 2


@dataclass(frozen=True, slots=True)
class Subnet:
    name: str
    vpc: str
    zone: str
    """The id of the zone, which is the same in every account."""
    way_out: str = ""
    """What the default route leads to. Empty: there is none."""

    @property
    def is_public(self) -> bool:
        return self.way_out.startswith("igw-")


def check_network(
    session: Any, answers: Answers, deployed: DeployedStack | None
) -> Iterator[Problem]:
    if deployed and deployed.has_media_plane:
        yield from _check_unchanged(answers, deployed)
    try:
        if answers.get("VpcId"):
            yield from _check_subnets(session.client("ec2"), answers)
        elif not (deployed and deployed.has_media_plane):
            yield from _check_zones(session.client("ec2"), answers)
    except (BotoCoreError, ClientError) as error:
        yield Doubt("network", f"it could not be checked: {error}")


def _check_unchanged(answers: Answers, deployed: DeployedStack) -> Iterator[Missing]:
    for name in FIXED:
        before = deployed.parameters.get(name, "")
        if name in answers.parameters and answers.get(name) != before:
            yield Missing(
                name,
                f"the media plane of {deployed.name} was created with {before or 'none'}, and "
                "cannot move. Deploy a stack with another name (--stack), and remove this one "
                "when it has no calls",
            )


def _check_zones(ec2: Any, answers: Answers) -> Iterator[Missing]:
    fargate = FARGATE_ZONES.get(answers.region)
    if fargate is None:
        return
    zones = {each["ZoneName"]: each["ZoneId"] for each in _zones(ec2)}
    chosen = answers.get("AvailabilityZones").split(",") if answers.get("AvailabilityZones") else []
    without = [name for name in chosen or sorted(zones)[:2] if zones.get(name) not in fargate]
    usable = [name for name, zone in sorted(zones.items()) if zone in fargate][:2]
    if without:
        yield Missing(
            "AvailabilityZones",
            f"Fargate does not run in {', '.join(without)}: "
            f"make deploy ARGS='--set AvailabilityZones={','.join(usable)}'",
        )


def _zones(ec2: Any) -> list[dict[str, str]]:
    names = {"Name": "zone-type", "Values": ["availability-zone"]}
    found: list[dict[str, str]] = ec2.describe_availability_zones(Filters=[names])[
        "AvailabilityZones"
    ]
    return found


def _check_subnets(ec2: Any, answers: Answers) -> Iterator[Missing]:
    vpc = answers.get("VpcId")
    given = {
        parameter: list(filter(None, answers.get(parameter).split(",")))
        for parameter in ("BalancerSubnetIds", "TaskSubnetIds")
    }
    if missing := [parameter for parameter, names in given.items() if not names]:
        yield Missing(" and ".join(missing), "VpcId needs them: --set BalancerSubnetIds=…,…")
        return
    try:
        subnets = _subnets(ec2, {name for names in given.values() for name in names}, vpc)
    except ec2.exceptions.ClientError as error:
        yield Missing("subnets", f"they cannot be read in {answers.region}: {error}")
        return
    balancer, tasks = ([subnets[name] for name in names] for names in given.values())
    if misplaced := list(_check_place(subnets, vpc)):
        yield from misplaced
        return
    yield from _check_balancer(balancer)
    yield from _check_tasks(tasks, answers)


def _check_place(subnets: Mapping[str, Subnet], vpc: str) -> Iterator[Missing]:
    for each in subnets.values():
        if each.vpc != vpc:
            yield Missing(each.name, f"it is in {each.vpc}, not in {vpc}")


def _check_balancer(subnets: list[Subnet]) -> Iterator[Missing]:
    if len({each.zone for each in subnets}) < MIN_BALANCER_ZONES:
        yield Missing("BalancerSubnetIds", "the load balancer needs subnets in two zones")
    for each in subnets:
        if not each.is_public:
            yield Missing(
                each.name, "the load balancer needs a default route to an internet gateway there"
            )


def _check_tasks(subnets: list[Subnet], answers: Answers) -> Iterator[Missing]:
    is_private = answers.get("VpcMode") == "private"
    fargate = FARGATE_ZONES.get(answers.region)
    for each in subnets:
        if fargate is not None and each.zone not in fargate:
            yield Missing(each.name, f"Fargate does not run in its zone {each.zone}")
        if not each.way_out:
            yield Missing(each.name, "it has no default route: tasks reach neither model nor AWS")
        elif is_private and each.is_public:
            yield Missing(
                each.name,
                "with VpcMode=private tasks have no address of their own, so its default route "
                "must lead to a NAT gateway",
            )
        elif not is_private and not each.is_public:
            yield Missing(each.name, "its default route is private: --set VpcMode=private")


def _subnets(ec2: Any, names: set[str], vpc: str) -> dict[str, Subnet]:
    found = ec2.describe_subnets(SubnetIds=sorted(names))["Subnets"]
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    return {
        each["SubnetId"]: Subnet(
            each["SubnetId"],
            each["VpcId"],
            each["AvailabilityZoneId"],
            _way_out(each["SubnetId"], tables),
        )
        for each in found
    }


def _way_out(subnet: str, tables: list[dict[str, Any]]) -> str:
    """The main table of a VPC is that of its subnets without one."""
    own = [t for t in tables if any(a.get("SubnetId") == subnet for a in t["Associations"])]
    main = [t for t in tables if any(a.get("Main") for a in t["Associations"])]
    for route in (own or main or [{"Routes": []}])[0]["Routes"]:
        if route.get("DestinationCidrBlock") == EVERYWHERE:
            targets = ("GatewayId", "NatGatewayId", "TransitGatewayId", "NetworkInterfaceId")
            return next((route[name] for name in targets if route.get(name)), "")
    return ""
