"""Accounts in which a deployment could not succeed, found before it starts."""

from collections.abc import Iterator

import boto3
import pytest

from deployment import account
from deployment.answers import Answers
from deployment.problems import Doubt, Missing, Problem
from deployment.stack import DeployedStack
from tests.support.aws_account import aws_account
from tests.support.aws_front import QUOTAS, AwsFront


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_account(dynamodb_address) as front:
        yield front


def session(region: str = "us-east-1") -> boto3.Session:
    return boto3.Session(region_name=region)


def quotas(deployed: DeployedStack | None = None, **parameters: str) -> list[Problem]:
    in_cloud = parameters.pop("build_in_cloud", "") == "yes"
    answers = Answers("us-east-1", build_in_cloud=in_cloud, parameters=parameters)
    return list(account.check_quotas(session(), answers, deployed))


def test_an_account_with_room(front: AwsFront) -> None:
    assert quotas(build_in_cloud="yes", MediaTasksMin="2") == []
    assert list(account.check_region(session())) == []
    assert account.check_sign_in(session()) is None


def test_credentials_that_aws_refuses(front: AwsFront) -> None:
    front.refuse("sts:GetCallerIdentity", "ExpiredToken", "The token has expired")
    problem = account.check_sign_in(session())
    assert problem
    assert problem.what == "AWS credentials"
    assert "sign in" in problem.how


def test_a_region_without_aws(front: AwsFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    problem = account.check_sign_in(session("us-east-9"))
    assert problem
    assert problem.what == "region"


@pytest.mark.parametrize("region", ["us-east-9", "mars-north-1"])
def test_a_region_that_does_not_exist(front: AwsFront, region: str) -> None:
    front.show_regions(us_east_1="opt-in-not-required", eu_west_1="opt-in-not-required")
    [problem] = account.check_region(session(region))
    assert isinstance(problem, Missing)
    assert f"{region} does not exist; there are eu-west-1, us-east-1" in problem.how


def test_a_region_that_must_be_enabled_first(front: AwsFront) -> None:
    front.show_regions(ap_east_1="not-opted-in")
    [problem] = account.check_region(session("ap-east-1"))
    assert "enable ap-east-1" in problem.how


def test_a_quota_of_no_builds_is_found_before_the_build(front: AwsFront) -> None:
    front.set_quotas(fargate=6, codebuild=0, vpc=10_000)
    [problem] = quotas(build_in_cloud="yes")
    assert isinstance(problem, Missing)
    assert "builds for ARM/Small environment is 0 in us-east-1, and 1 is needed" in problem.how
    assert "with docker on this machine" in problem.how
    assert quotas() == [], "with docker nothing is built there"


@pytest.mark.parametrize(
    ("tasks", "cpu", "needed"), [("1", "1024", 2), ("5", "1024", 10), ("2", "256", 1)]
)
def test_fargate_must_hold_old_and_new_tasks(
    front: AwsFront, tasks: str, cpu: str, needed: int
) -> None:
    front.set_quotas(fargate=0, vpc=10_000)
    [problem] = quotas(MediaTasksMin=tasks, MediaTaskCpu=cpu)
    assert f"vCPU resource count is 0 in us-east-1, and {needed} is needed" in problem.how
    front.set_quotas(fargate=needed, vpc=10_000)
    assert quotas(MediaTasksMin=tasks, MediaTaskCpu=cpu) == []


def test_a_region_that_may_build_nothing_for_arm_is_mentioned(front: AwsFront) -> None:
    front.set_quotas(fargate=6, vpc=10_000)
    [problem] = quotas(build_in_cloud="yes")
    assert isinstance(problem, Doubt)
    assert "us-east-1 names no Concurrently running builds for ARM/Small" in problem.how


def test_without_a_size_that_of_the_stack_or_of_the_template_counts(front: AwsFront) -> None:
    front.set_quotas(fargate=0, vpc=10_000)
    [problem] = quotas()
    assert "and 0.5 is needed" in problem.how, "two tasks of a quarter of a vCPU"
    large = DeployedStack("phonebridge", "us-east-1", {"MediaTaskCpu": "1024"}, {})
    [problem] = quotas(large)
    assert "and 2 is needed" in problem.how


def test_a_region_full_of_vpcs(front: AwsFront) -> None:
    front.set_quotas(fargate=6, vpc=1)
    [problem] = quotas()
    assert "VPCs, and the stack creates one" in problem.how
    has_one = DeployedStack("phonebridge", "us-east-1", {"MediaImageUri": "x"}, {})
    assert quotas(has_one) == []
    assert quotas(VpcId="vpc-0a1b2c3d") == []


def test_few_functions_at_a_time_are_mentioned(front: AwsFront) -> None:
    front.set_lambda_concurrency(10)
    [problem] = quotas()
    assert isinstance(problem, Doubt)
    assert "Lambda runs 10 functions at a time" in problem.how


def test_a_quota_that_may_not_be_read_stops_nobody(front: AwsFront) -> None:
    front.refuse(QUOTAS, "AccessDeniedException", "not authorized")
    assert {type(problem) for problem in quotas()} == {Doubt}


def test_service_linked_roles_are_created_where_they_are_missing(front: AwsFront) -> None:
    front.refuse("iam:GetRole", "NoSuchEntity", "not found")
    assert len(list(account.check_service_roles(session()))) == len(account.SERVICE_ROLES)
    assert list(account.create_service_roles(session())) == []
    created = front.asked.count("iam:CreateServiceLinkedRole")
    assert created == len(account.SERVICE_ROLES)


def test_service_linked_roles_that_exist_are_left_alone(front: AwsFront) -> None:
    role = "<Path>/</Path><RoleName>r</RoleName><RoleId>i</RoleId><Arn>a</Arn>"
    result = f"<GetRoleResult><Role>{role}</Role></GetRoleResult>"
    front.answer_always("iam:GetRole", f"<GetRoleResponse>{result}</GetRoleResponse>".encode())
    assert list(account.check_service_roles(session())) == []
    assert list(account.create_service_roles(session())) == []
    assert "iam:CreateServiceLinkedRole" not in front.asked


def test_a_role_that_somebody_else_has_just_created(front: AwsFront) -> None:
    front.refuse("iam:GetRole", "NoSuchEntity", "not found")
    taken = "Service role name AWSServiceRoleForECS has been taken in this account"
    front.refuse("iam:CreateServiceLinkedRole", "InvalidInput", taken)
    assert list(account.create_service_roles(session())) == []


def test_roles_that_only_an_administrator_may_create(front: AwsFront) -> None:
    front.refuse("iam:GetRole", "NoSuchEntity", "not found")
    front.refuse("iam:CreateServiceLinkedRole", "AccessDenied", "not authorized")
    found = list(account.create_service_roles(session()))
    assert [problem.what for problem in found] == list(account.SERVICE_ROLES)
    command = "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"
    assert command in found[0].how
