"""Networks in which no container could start or no call could arrive, found before a deployment."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from deployment.answers import Answers
from deployment.network import check_network
from deployment.problems import Doubt, Missing, Problem
from deployment.stack import DeployedStack
from tests.support.aws_account import aws_account
from tests.support.aws_front import AwsFront

ZONES = ("us-east-1a", "us-east-1b")


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_account(dynamodb_address) as front:
        yield front


@dataclass
class Network:
    """A VPC with an internet gateway, whose main route table leads nowhere."""

    ec2: Any
    vpc: str

    def subnet(self, number: int, zone: str, way_out: str = "") -> str:
        created = self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone
        )
        subnet = str(created["Subnet"]["SubnetId"])
        if way_out:
            self._route(subnet, way_out)
        return subnet

    def gateway(self) -> str:
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        return str(gateway)

    def nat(self, subnet: str) -> str:
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        created = self.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
        return str(created["NatGateway"]["NatGatewayId"])

    def _route(self, subnet: str, way_out: str) -> None:
        table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        target = "GatewayId" if way_out.startswith("igw-") else "NatGatewayId"
        self.ec2.create_route(
            RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **{target: way_out}
        )
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)


@pytest.fixture
def network(front: AwsFront) -> Network:
    ec2 = boto3.client("ec2")
    return Network(ec2, ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])


def check(deployed: DeployedStack | None, **parameters: str) -> list[Problem]:
    region = parameters.pop("region", "us-east-1")
    answers = Answers(region, parameters=parameters)
    return list(check_network(boto3.Session(region_name=region), answers, deployed))


def told(problems: list[Problem], name: str) -> str:
    [found] = [each.how for each in problems if isinstance(each, Missing) and each.what == name]
    return found


def in_vpc(network: Network, balancer: list[str], tasks: list[str], **more: str) -> list[Problem]:
    subnets = {"BalancerSubnetIds": ",".join(balancer), "TaskSubnetIds": ",".join(tasks)}
    return check(None, VpcId=network.vpc, **subnets, **more)


def test_public_subnets_in_two_zones_are_fine(network: Network) -> None:
    gateway = network.gateway()
    subnets = [network.subnet(number, zone, gateway) for number, zone in enumerate(ZONES)]
    assert in_vpc(network, subnets, subnets) == []


def test_private_subnets_behind_a_nat_gateway_are_fine(network: Network) -> None:
    gateway = network.gateway()
    balancer = [network.subnet(number, zone, gateway) for number, zone in enumerate(ZONES)]
    nat = network.nat(balancer[0])
    tasks = [network.subnet(10 + number, zone, nat) for number, zone in enumerate(ZONES)]
    assert in_vpc(network, balancer, tasks, VpcMode="private") == []
    problems = in_vpc(network, balancer, tasks)
    assert "--set VpcMode=private" in told(problems, tasks[0])


def test_a_balancer_in_one_zone_or_without_a_gateway(network: Network) -> None:
    gateway = network.gateway()
    open_, closed = network.subnet(1, ZONES[0], gateway), network.subnet(2, ZONES[0])
    problems = in_vpc(network, [open_, closed], [open_])
    assert "subnets in two zones" in told(problems, "BalancerSubnetIds")
    assert "default route to an internet gateway" in told(problems, closed)


def test_tasks_that_could_reach_nothing(network: Network) -> None:
    gateway = network.gateway()
    subnets = [network.subnet(number, zone, gateway) for number, zone in enumerate(ZONES)]
    alone = network.subnet(9, ZONES[0])
    assert "it has no default route" in told(in_vpc(network, subnets, [alone]), alone)
    problems = in_vpc(network, subnets, subnets[:1], VpcMode="private")
    assert "must lead to a NAT gateway" in told(problems, subnets[0])


def test_subnets_of_another_vpc_or_of_none(network: Network) -> None:
    gateway = network.gateway()
    subnets = [network.subnet(number, zone, gateway) for number, zone in enumerate(ZONES)]
    problems = check(
        None, VpcId="vpc-0123", BalancerSubnetIds=",".join(subnets), TaskSubnetIds=subnets[0]
    )
    assert f"it is in {network.vpc}, not in vpc-0123" in told(problems, subnets[0])
    [problem] = in_vpc(network, ["subnet-0a1b", "subnet-0c2d"], ["subnet-0a1b"])
    assert "they cannot be read in us-east-1" in problem.how


def test_a_vpc_without_its_subnets(front: AwsFront) -> None:
    [problem] = check(None, VpcId="vpc-0a1b")
    assert problem.what == "BalancerSubnetIds and TaskSubnetIds"


def test_zones_without_fargate(front: AwsFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployment.network.FARGATE_ZONES", {"us-west-2": {"usw2-az1", "usw2-az3"}})
    zones = boto3.client("ec2", region_name="us-west-2").describe_availability_zones()
    ids = {each["ZoneId"]: each["ZoneName"] for each in zones["AvailabilityZones"]}
    good = ",".join(sorted((ids["usw2-az1"], ids["usw2-az3"])))
    [problem] = check(
        None, region="us-west-2", AvailabilityZones=f"{ids['usw2-az1']},{ids['usw2-az2']}"
    )
    assert f"Fargate does not run in {ids['usw2-az2']}" in problem.how
    assert f"--set AvailabilityZones={good}" in problem.how
    assert check(None, region="us-west-2", AvailabilityZones=good) == []
    assert check(None, region="us-east-1") == [], "where every zone has Fargate, any two do"


def test_a_media_plane_cannot_move(front: AwsFront) -> None:
    deployed = DeployedStack(
        "phonebridge", "us-east-1", {"MediaImageUri": "image@sha256:0f", "VpcId": ""}, {}
    )
    assert check(deployed) == []
    assert check(deployed, VpcId="") == []
    problems = check(deployed, VpcId="vpc-0a1b", BalancerSubnetIds="", TaskSubnetIds="")
    assert "was created with none, and cannot move" in told(problems, "VpcId")


def test_what_may_not_be_looked_at_stops_nothing(front: AwsFront) -> None:
    front.refuse("ec2:DescribeAvailabilityZones", "UnauthorizedOperation", "not allowed")
    [problem] = check(None, region="us-west-1")
    assert isinstance(problem, Doubt)
