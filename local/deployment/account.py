"""The AWS account: whose it is, where, and whether it lets the stack run.

Quotas are compared by name: their codes are documented nowhere in one place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from aws.template import load_template
from deployment.answers import Answers
from deployment.problems import Doubt, Missing, Problem
from deployment.stack import DeployedStack

SERVICE_ROLES = {
    "AWSServiceRoleForECS": "ecs.amazonaws.com",
    "AWSServiceRoleForElasticLoadBalancing": "elasticloadbalancing.amazonaws.com",
    "AWSServiceRoleForApplicationAutoScaling_ECSService": (
        "ecs.application-autoscaling.amazonaws.com"
    ),
}
"""Roles of an account that the services of the media plane run with. An account that has never used
a service has not got its role (IAM, "Service-linked roles")."""
CPU_UNITS_PER_VCPU = 1024
MIN_LAMBDA_CONCURRENCY = 50
"""Below, a few calls at a time are throttled: a new account has 10."""


@dataclass(frozen=True, slots=True)
class Quota:
    service: str
    name: str
    needed: float


def check_sign_in(session: Any) -> Missing | None:
    try:
        session.client("sts").get_caller_identity()
    except EndpointConnectionError as error:
        return Missing("region", f"{session.region_name} has no AWS endpoint ({error})")
    except (BotoCoreError, ClientError) as error:
        return Missing(
            "AWS credentials",
            f"sign in (`aws configure sso`, `aws configure`) or set AWS_PROFILE ({error})",
        )
    return None


def check_region(session: Any) -> Iterator[Problem]:
    """A name that is well formed may be none; a newer region must be enabled first."""
    try:
        regions = session.client("ec2").describe_regions(AllRegions=True)["Regions"]
    except (BotoCoreError, ClientError) as error:
        yield Doubt("region", f"it could not be checked: {error}")
        return
    status = {each["RegionName"]: each["OptInStatus"] for each in regions}
    if session.region_name not in status:
        known = ", ".join(sorted(status))
        yield Missing("region", f"{session.region_name} does not exist; there are {known}")
    elif status[session.region_name] == "not-opted-in":
        yield Missing("region", f"enable {session.region_name} under Account, AWS Regions")


def check_service_roles(session: Any) -> Iterator[Problem]:
    """Those that are missing are created, which needs a permission of its own."""
    for role, service in missing_service_roles(session).items():
        yield Doubt(
            "service-linked role", f"the account has no {role}; it is created for {service}"
        )


def missing_service_roles(session: Any) -> dict[str, str]:
    iam, missing = session.client("iam"), {}
    for role, service in SERVICE_ROLES.items():
        try:
            iam.get_role(RoleName=role)
        except iam.exceptions.NoSuchEntityException:
            missing[role] = service
        except (BotoCoreError, ClientError):
            missing[role] = service  # not allowed to look: creating it tells
    return missing


def create_service_roles(session: Any) -> Iterator[Problem]:
    """Create what is missing; what could not be created is yielded."""
    iam = session.client("iam")
    for role, service in missing_service_roles(session).items():
        try:
            iam.create_service_linked_role(AWSServiceName=service)
        except ClientError as error:
            if "has been taken" in str(error) or "already exists" in str(error):
                continue
            yield Missing(
                role,
                f"it could not be created ({error}). Ask an administrator to run "
                f"`aws iam create-service-linked-role --aws-service-name {service}`",
            )


def check_quotas(
    session: Any, answers: Answers, deployed: DeployedStack | None
) -> Iterator[Problem]:
    for quota in _quotas(answers, deployed):
        yield from _check_quota(session, quota)
    yield from _check_lambda(session)
    if not (answers.get("VpcId") or (deployed and deployed.has_media_plane)):
        yield from _check_vpcs(session)


def _quotas(answers: Answers, deployed: DeployedStack | None) -> Iterator[Quota]:
    """A parameter that is left out keeps its value, or gets its default."""
    kept = deployed.parameters if deployed else {}
    defaults = load_template().parameters

    def number(parameter: str) -> int:
        given = answers.get(parameter) or kept.get(parameter)
        return int(given or defaults[parameter]["Default"])

    tasks, vcpu = number("MediaTasksMin"), number("MediaTaskCpu") / CPU_UNITS_PER_VCPU
    # A deployment runs the new tasks beside the old ones.
    yield Quota("fargate", "Fargate On-Demand vCPU resource count", 2 * tasks * vcpu)
    if answers.build_in_cloud:
        yield Quota("codebuild", "Concurrently running builds for ARM/Small environment", 1)


def _check_quota(session: Any, quota: Quota) -> Iterator[Problem]:
    try:
        value = _quota_value(session.client("service-quotas"), quota)
    except (BotoCoreError, ClientError) as error:
        yield Doubt("quota", f"{quota.name} could not be checked: {error}")
        return
    if value is None:
        yield Doubt(
            "quota",
            f"{session.region_name} names no {quota.name}: {quota.service} may not offer it there",
        )
    elif value < quota.needed:
        yield Missing(
            "quota",
            f"{quota.name} is {value:g} in {session.region_name}, and {quota.needed:g} is needed: "
            "request more in the Service Quotas console. A new account can wait a day for it"
            + (
                "; with docker on this machine, leave --build-in-cloud out"
                if quota.service == "codebuild"
                else ""
            ),
        )


def _quota_value(client: Any, quota: Quota) -> float | None:
    """None where the service names no such quota."""
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=quota.service)
    for each in pages.build_full_result()["Quotas"]:
        if each["QuotaName"] == quota.name:
            return float(each["Value"])
    return None


def _check_lambda(session: Any) -> Iterator[Problem]:
    try:
        limit = session.client("lambda").get_account_settings()["AccountLimit"]
    except (BotoCoreError, ClientError) as error:
        yield Doubt("quota", f"Lambda's concurrency could not be checked: {error}")
        return
    if (concurrent := limit["ConcurrentExecutions"]) < MIN_LAMBDA_CONCURRENCY:
        yield Doubt(
            "quota",
            f"Lambda runs {concurrent} functions at a time in this account, enough for a few "
            "calls. Request 1000 in the Service Quotas console (Lambda, concurrent executions)",
        )


def _check_vpcs(session: Any) -> Iterator[Problem]:
    try:
        vpcs = len(session.client("ec2").describe_vpcs()["Vpcs"])
        limit = _quota_value(session.client("service-quotas"), Quota("vpc", "VPCs per Region", 1))
    except (BotoCoreError, ClientError) as error:
        yield Doubt("quota", f"VPCs per Region could not be checked: {error}")
        return
    if limit is not None and vpcs >= limit:
        yield Missing(
            "quota",
            f"the region has {vpcs} of {limit:g} VPCs, and the stack creates one: request more in "
            "the Service Quotas console, or delete one",
        )
