"""The host names of the stack: in their zone, delegated, free, and covered by a certificate."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deployment.answers import Answers
from deployment.problems import Doubt, Missing, Problem
from deployment.public_dns import AMAZON_AUTHORITIES, DnsUnavailable, PublicDns
from deployment.stack import DeployedStack

HOST_NAMES = {"MediaDomainName": "MediaCertificateArn", "ApiDomainName": "ApiCertificateArn"}
"""Each host name, and the certificate that is given for it."""
SOON_DAYS = 14


def check_names(
    session: Any, answers: Answers, deployed: DeployedStack | None, dns: PublicDns
) -> Iterator[Problem]:
    for name, certificate in HOST_NAMES.items():
        if arn := answers.get(certificate):
            yield from _check_certificate(session, answers.region, arn, answers.get(name))
    if answers.get("HostedZoneId"):
        yield from _check_zone(session, answers, deployed, dns)


def _check_zone(
    session: Any, answers: Answers, deployed: DeployedStack | None, dns: PublicDns
) -> Iterator[Problem]:
    zone_id = answers.get("HostedZoneId")
    route53 = session.client("route53")
    try:
        found = route53.get_hosted_zone(Id=zone_id)
    except (BotoCoreError, ClientError) as error:
        yield Missing(
            "HostedZoneId",
            f"{zone_id} cannot be read in this account: {error}. "
            "`aws route53 list-hosted-zones` lists the zones",
        )
        return
    zone = found["HostedZone"]["Name"].rstrip(".")
    if found["HostedZone"].get("Config", {}).get("PrivateZone"):
        yield Missing("HostedZoneId", f"{zone_id} ({zone}) is private; Telnyx needs a public one")
        return
    known = deployed.parameters.values() if deployed else ()
    for name in filter(None, map(answers.get, HOST_NAMES)):
        yield from _check_name(route53, name, zone_id, zone, is_known=name in known)
    yield from _check_delegation(zone, found["DelegationSet"]["NameServers"], dns)
    yield from _check_authorities(answers, dns)


def _check_name(
    route53: Any, name: str, zone_id: str, zone: str, *, is_known: bool
) -> Iterator[Problem]:
    if name != zone and not name.endswith(f".{zone}"):
        yield Missing(name, f"it is not in the zone {zone_id}, which is {zone}")
    elif not is_known:
        yield from _check_is_free(route53, zone_id, name)


def _check_delegation(zone: str, servers: list[str], dns: PublicDns) -> Iterator[Problem]:
    ours = {server.rstrip(".").lower() for server in servers}
    try:
        public = dns.name_servers(zone)
    except DnsUnavailable as error:
        yield Doubt(
            "delegation",
            f"whether {zone} is delegated could not be checked ({error}). If it is not, the "
            f"certificate is never issued. Its name servers must be {', '.join(sorted(ours))}",
        )
        return
    if not public & ours:
        seen = f"the public DNS names {', '.join(sorted(public))}" if public else "it names none"
        yield Missing(
            "HostedZoneId",
            f"{zone} is not delegated to this zone: {seen}. At the registrar of the domain, set "
            f"the name servers {', '.join(sorted(ours))}, and wait until they are public",
        )


def _check_authorities(answers: Answers, dns: PublicDns) -> Iterator[Problem]:
    """Check the authorities of the names for which the stack requests a certificate."""
    for name, certificate in HOST_NAMES.items():
        host = answers.get(name)
        if not host or answers.get(certificate):
            continue
        try:
            issuers = dns.authorities(host)
        except DnsUnavailable:
            return  # reported with the delegation
        if issuers and not issuers & AMAZON_AUTHORITIES:
            yield Missing(
                host,
                f"its CAA record lets only {', '.join(sorted(issuers))} issue certificates: "
                'add 0 issue "amazon.com"',
            )


def _check_is_free(route53: Any, zone_id: str, name: str) -> Iterator[Problem]:
    """CloudFormation creates records; it never replaces one that it does not know."""
    listed = route53.list_resource_record_sets(
        HostedZoneId=zone_id, StartRecordName=name, MaxItems="10"
    )["ResourceRecordSets"]
    kinds = {each["Type"] for each in listed if each["Name"].rstrip(".") == name}
    if taken := kinds & {"A", "AAAA", "CNAME"}:
        yield Missing(
            name,
            f"the zone has a record for it already ({', '.join(sorted(taken))}): delete that "
            "record, or choose another name",
        )


def _check_certificate(session: Any, region: str, arn: str, domain: str) -> Iterator[Problem]:
    if f":{region}:" not in arn:
        yield Missing("certificate", f"{arn} is not in {region}: request one there")
        return
    try:
        found = session.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
    except (BotoCoreError, ClientError) as error:
        yield Missing("certificate", f"{arn} cannot be read: {error}")
        return
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", [])}
    if found["Status"] != "ISSUED":
        remedy = "create the validation record that AWS Certificate Manager shows, and wait for it"
        yield Missing("certificate", f"{arn} is {found['Status']}: {remedy}")
    elif not any(_covers(name, domain) for name in names):
        yield Missing("certificate", f"{arn} is not for {domain}: request one that is")
    elif (days := _days_left(found)) is not None and days < SOON_DAYS:
        yield Doubt("certificate", f"{arn} expires in {days} days: renew it")


def _days_left(certificate: Any) -> int | None:
    end = certificate.get("NotAfter")
    return None if end is None else (end - datetime.now(UTC)).days


def _covers(name: str, domain: str) -> bool:
    return name == domain or name == f"*.{domain.partition('.')[2]}"
