"""An operation of CloudFormation: followed to its end, and explained when it fails."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from deployment.leftovers import remaining_resources, start_over
from deployment.operation import OperationFailed, Operations
from tests.support.aws_account import aws_account
from tests.support.aws_front import AwsFront, events_xml, resources_xml

EXECUTE = "cloudformation:ExecuteChangeSet"
EXECUTED = b"<ExecuteChangeSetResponse><ExecuteChangeSetResult/></ExecuteChangeSetResponse>"
TABLE = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "DeletionProtectionEnabled": True,
}


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_account(dynamodb_address) as front:
        front.answer_always(EXECUTE, EXECUTED)
        yield front


@pytest.fixture
def name() -> str:
    return f"s{uuid.uuid4().hex[:8]}"


def event(resource: str, kind: str, status: str, reason: str = "") -> dict[str, str]:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # whenever the operation starts
    return {"resource": resource, "kind": kind, "status": status, "reason": reason, "at": later}


def show_events(front: AwsFront, name: str, *newest_first: dict[str, str]) -> None:
    front.answer_always("cloudformation:DescribeStackEvents", events_xml(name, *newest_first))


def show_resources(front: AwsFront, *resources: dict[str, str]) -> None:
    front.answer_always("cloudformation:ListStackResources", resources_xml(*resources))


def execute(name: str, *, is_media_plane_new: bool = False) -> list[str]:
    """The lines that are shown."""
    shown: list[str] = []
    operations = Operations(name, "us-east-1", shown.append, poll_seconds=0)
    operations.execute("change", is_media_plane_new=is_media_plane_new)
    return shown


def failure(name: str, *, is_media_plane_new: bool = False) -> str:
    with pytest.raises(OperationFailed) as failed:
        execute(name, is_media_plane_new=is_media_plane_new)
    return str(failed.value)


def test_an_operation_is_followed_until_it_is_complete(front: AwsFront, name: str) -> None:
    front.show_stack(name, *["UPDATE_IN_PROGRESS"] * 2, "UPDATE_COMPLETE")
    show_events(front, name, event("MediaService", "AWS::ECS::Service", "CREATE_IN_PROGRESS"))
    [line] = execute(name)
    assert line.startswith("  MediaService: containers start")


def test_what_happened_before_the_operation_is_not_its_news(front: AwsFront, name: str) -> None:
    front.show_stack(name, "UPDATE_COMPLETE")
    old = event("MediaService", "AWS::ECS::Service", "CREATE_FAILED", "long ago")
    show_events(front, name, old | {"at": "2026-01-01T00:00:00Z"})
    assert execute(name) == []


def test_a_failed_creation_names_cause_remains_and_way_on(front: AwsFront, name: str) -> None:
    front.show_stack(name, "CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE")
    cause = "Cannot have more than 10 roles"
    show_events(front, name, event("MediaTaskRole", "AWS::IAM::Role", "CREATE_FAILED", cause))
    show_resources(
        front,
        {
            "resource": "CallsTable",
            "id": f"{name}-calls",
            "kind": "AWS::DynamoDB::Table",
            "status": "DELETE_SKIPPED",
        },
    )
    message = failure(name)
    assert f"stack {name} is ROLLBACK_COMPLETE" in message
    assert f"MediaTaskRole (AWS::IAM::Role): {cause}" in message
    assert f"Left in the account: CallsTable {name}-calls." in message
    assert "run `make deploy` again: it deletes what is left and starts over" in message


def test_a_failed_update_leaves_the_stack_as_it_was(front: AwsFront, name: str) -> None:
    front.show_stack(name, "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
    show_events(front, name, event("MediaRecord", "AWS::Route53::RecordSet", "CREATE_FAILED", "no"))
    message = failure(name)
    assert "MediaRecord (AWS::Route53::RecordSet): no" in message
    assert "The stack is as it was before" in message


def test_a_rollback_that_fails_names_the_command_that_goes_on(front: AwsFront, name: str) -> None:
    front.show_stack(name, "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED")
    show_events(front, name)
    assert f"aws cloudformation continue-update-rollback --stack-name {name}" in failure(name)


def target_group(front: AwsFront, name: str) -> str:
    elb, vpc = boto3.client("elbv2"), boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")
    group: str = elb.create_target_group(
        Name=name, Protocol="HTTP", Port=8080, TargetType="ip", VpcId=vpc["Vpc"]["VpcId"]
    )["TargetGroups"][0]["TargetGroupArn"]
    kind = "AWS::ElasticLoadBalancingV2::TargetGroup"
    created = {"resource": "MediaTargetGroup", "id": group, "kind": kind}
    show_resources(front, created | {"status": "CREATE_COMPLETE"})
    return group


def delay_of(group: str) -> str:
    found = boto3.client("elbv2").describe_target_group_attributes(TargetGroupArn=group)
    values = {each["Key"]: str(each["Value"]) for each in found["Attributes"]}
    return values["deregistration_delay.timeout_seconds"]


@pytest.mark.parametrize(("is_new", "delay"), [(True, "0"), (False, "300")])
def test_a_rollback_waits_for_no_calls_only_where_there_were_none(
    front: AwsFront, name: str, is_new: bool, delay: str
) -> None:
    group = target_group(front, name)
    front.show_stack(name, *["UPDATE_ROLLBACK_IN_PROGRESS"] * 2, "UPDATE_ROLLBACK_COMPLETE")
    show_events(front, name)
    failure(name, is_media_plane_new=is_new)
    assert delay_of(group) == delay


def failed_creation(front: AwsFront, name: str) -> str:
    """A stack with a table that deletion protection kept."""
    table = f"{name}-calls"
    boto3.client("dynamodb").create_table(TableName=table, **TABLE)  # type: ignore[arg-type]
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    kept = {"resource": "CallsTable", "id": table, "kind": "AWS::DynamoDB::Table"}
    show_resources(front, kept | {"status": "DELETE_FAILED"})
    return table


def is_there(table: str) -> bool:
    client: Any = boto3.client("dynamodb")
    names = client.get_paginator("list_tables").paginate().build_full_result()["TableNames"]
    return table in names


def test_starting_over_leaves_nothing_not_even_a_protected_table(
    front: AwsFront, name: str
) -> None:
    table = failed_creation(front, name)
    assert start_over(boto3.client("cloudformation"), name, "us-east-1") == []
    assert not is_there(table)
    assert "cloudformation:DeleteStack" in front.asked


def test_what_resists_deletion_is_named(front: AwsFront, name: str) -> None:
    table = failed_creation(front, name)
    front.show_stack(name, "DELETE_FAILED")
    left = start_over(boto3.client("cloudformation"), name, "us-east-1")
    assert left == [f"CallsTable {table}"]
    assert is_there(table)


def test_the_rollback_of_a_creation_may_delete_the_table(front: AwsFront, name: str) -> None:
    table = failed_creation(front, name)
    front.show_stack(name, "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE")
    show_events(front, name)
    failure(name)
    described = boto3.client("dynamodb").describe_table(TableName=table)["Table"]
    assert not described["DeletionProtectionEnabled"]


def test_what_was_deleted_does_not_remain(front: AwsFront, name: str) -> None:
    gone = {"resource": "Role", "id": "r", "kind": "AWS::IAM::Role", "status": "DELETE_COMPLETE"}
    show_resources(front, gone)
    assert remaining_resources(boto3.client("cloudformation"), name) == []
