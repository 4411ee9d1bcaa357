"""Host names, zones and certificates that a deployment could not use, found before it starts."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from deployment.answers import Answers
from deployment.names import check_names
from deployment.problems import Doubt, Missing, Problem
from deployment.public_dns import PublicDns
from deployment.stack import DeployedStack
from tests.support.aws_account import aws_account
from tests.support.aws_front import DNS_PATH, ZONE_PREFIX, AwsFront

DOMAIN = "example.com"
HOST = "media.example.com"


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_account(dynamodb_address) as front:
        yield front


def create_zone(front: AwsFront, **options: Any) -> str:
    """Delegated, unless a test changes the public DNS."""
    created = boto3.client("route53").create_hosted_zone(
        Name=DOMAIN, CallerReference=str(uuid.uuid4()), **options
    )
    if "DelegationSet" in created:
        servers = created["DelegationSet"]["NameServers"]
        front.names[DOMAIN, "NS"] = [f"{server.upper()}." for server in servers]
    return ZONE_PREFIX + str(created["HostedZone"]["Id"]).rpartition("/")[2]


def find(
    front: AwsFront, zone: str, deployed: DeployedStack | None = None, **parameters: str
) -> list[Problem]:
    given = {"MediaDomainName": HOST, "HostedZoneId": zone} | parameters
    answers = Answers(region="us-east-1", parameters=given)
    dns = PublicDns(front.address + DNS_PATH)
    return list(check_names(boto3.Session(), answers, deployed, dns))


def test_names_in_a_delegated_zone_are_fine(front: AwsFront) -> None:
    assert find(front, create_zone(front), ApiDomainName="api.example.com") == []


def test_a_zone_that_does_not_exist(front: AwsFront) -> None:
    [problem] = find(front, "Z0123456789ABCDEFGHIJ")
    assert isinstance(problem, Missing)
    assert "Z0123456789ABCDEFGHIJ cannot be read in this account" in problem.how


def test_a_private_zone(front: AwsFront) -> None:
    vpc = {"VPCRegion": "us-east-1", "VPCId": "vpc-1"}
    [problem] = find(front, create_zone(front, VPC=vpc, HostedZoneConfig={"PrivateZone": True}))
    assert "(example.com) is private" in problem.how


@pytest.mark.parametrize("name", ["media.example.org", "media.notexample.com"])
def test_a_name_of_another_zone(front: AwsFront, name: str) -> None:
    [problem] = find(front, create_zone(front), MediaDomainName=name)
    assert problem.what == name
    assert "it is not in the zone" in problem.how


@pytest.mark.parametrize(
    ("public", "seen"),
    [
        ([], "it names none"),
        (["ns1.registrar.example."], "the public DNS names ns1.registrar.example"),
    ],
)
def test_a_zone_that_nobody_is_sent_to(front: AwsFront, public: list[str], seen: str) -> None:
    zone = create_zone(front)
    front.names[DOMAIN, "NS"] = public
    [problem] = find(front, zone)
    assert isinstance(problem, Missing)
    assert seen in problem.how
    assert "At the registrar of the domain, set the name servers" in problem.how


def test_a_resolver_that_does_not_answer_stops_nobody(front: AwsFront) -> None:
    zone = create_zone(front)
    front.dns_is_down = True
    [problem] = find(front, zone)
    assert isinstance(problem, Doubt)
    assert "could not be checked" in problem.how


@pytest.mark.parametrize("holder", [HOST, DOMAIN])
def test_a_domain_that_lets_others_issue_its_certificates(front: AwsFront, holder: str) -> None:
    zone = create_zone(front)
    front.names[holder, "CAA"] = ['0 issue "letsencrypt.org"', '0 iodef "mailto:a@example.com"']
    [problem] = find(front, zone)
    assert "lets only letsencrypt.org issue certificates" in problem.how
    front.names[holder, "CAA"].append('0 issue "amazon.com; cansignhttpexchanges=yes"')
    assert find(front, zone) == []


def test_a_name_that_has_a_record_already(front: AwsFront) -> None:
    zone = create_zone(front)
    record = {"Name": HOST, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "x.example"}]}
    changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    boto3.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
    [problem] = find(front, zone)
    assert "the zone has a record for it already (CNAME)" in problem.how
    ours = DeployedStack("phonebridge", "us-east-1", {"MediaDomainName": HOST}, {})
    assert find(front, zone, ours) == [], "the stack's own"


def test_a_certificate_of_the_api_is_checked_like_that_of_the_media(front: AwsFront) -> None:
    arn = boto3.client("acm").request_certificate(DomainName="api.example.com")["CertificateArn"]
    [problem] = find(
        front, create_zone(front), ApiDomainName="api.example.com", ApiCertificateArn=arn
    )
    assert "is PENDING_VALIDATION" in problem.how
