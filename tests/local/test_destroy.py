"""`make destroy`: what it asks, and what it keeps."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aws_front import PROTECTION, AwsFront, aws_front
from tests.support.deployers import Machine

TABLE = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "DeletionProtectionEnabled": True,
}


OUTPUTS = {"MediaLoadBalancerName": "balancer", "RecordingsBucketName": "recordings-1"}


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_front(dynamodb_address) as front:
        yield front


@pytest.fixture
def machine(tmp_path: Path, front: AwsFront) -> Machine:
    """A machine with a stack, and the table that outlives the stack."""
    machine = Machine(tmp_path, front.address)
    name = f"{machine.stack}-calls"
    machine.client("dynamodb").create_table(TableName=name, **TABLE)
    create_stack(machine, machine.stack, CallsTableName=name, **OUTPUTS)
    return machine


def create_stack(machine: Machine, name: str, **outputs: str) -> None:
    """Create a stack. Its target group remains, so that tests can read it."""
    template = {
        "Parameters": {"OpenAiModel": {"Type": "String", "Default": "gpt-realtime"}},
        "Resources": {
            "Vpc": {
                "Type": "AWS::EC2::VPC",
                "DeletionPolicy": "Retain",
                "Properties": {"CidrBlock": "10.0.0.0/16"},
            },
            "MediaTargetGroup": {
                "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
                "DeletionPolicy": "Retain",
                "Properties": {
                    "Name": name,
                    "VpcId": {"Ref": "Vpc"},
                    "Protocol": "HTTP",
                    "Port": 8080,
                    "TargetType": "ip",
                },
            },
        },
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    machine.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))


async def destroy(machine: Machine, typed: str, *arguments: str) -> tuple[int, str]:
    return await machine.run("destroy.py", "--stack", machine.stack, *arguments, typed=typed)


def stacks(machine: Machine) -> list[str]:
    found = machine.client("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE"])
    return [each["StackName"] for each in found["StackSummaries"]]


def tables(machine: Machine) -> list[str]:
    client = machine.client("dynamodb")
    found: list[str] = (
        client.get_paginator("list_tables").paginate().build_full_result()["TableNames"]
    )
    return found


@pytest.mark.parametrize("typed", ["", "yes\n", "another\n"])
async def test_without_its_name_nothing_is_changed(machine: Machine, typed: str) -> None:
    code, printed = await destroy(machine, typed, "--delete-table")
    assert code == 1
    assert "nothing was changed" in printed
    assert machine.stack in stacks(machine)
    assert f"{machine.stack}-calls" in tables(machine)


async def test_the_records_of_calls_stay(machine: Machine) -> None:
    code, printed = await destroy(machine, machine.stack + "\n")
    assert code == 0, printed
    assert machine.stack not in stacks(machine)
    assert f"kept: table {machine.stack}-calls" in printed
    assert "kept: bucket recordings-1" in printed
    assert f"{machine.stack}-calls" in tables(machine)


async def test_the_records_go_too_when_told_so(machine: Machine) -> None:
    code, printed = await destroy(machine, machine.stack + "\n", "--delete-table")
    assert code == 0, printed
    assert f"{machine.stack}-calls" not in tables(machine)


async def test_nobody_waits_for_the_hour_that_calls_may_take_to_end(machine: Machine) -> None:
    code, printed = await destroy(machine, machine.stack + "\n")
    assert code == 0, printed
    client = machine.client("elbv2")
    [group] = client.describe_target_groups(Names=[machine.stack])["TargetGroups"]
    found = client.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])
    attributes = {each["Key"]: each["Value"] for each in found["Attributes"]}
    assert attributes["deregistration_delay.timeout_seconds"] == "0"


async def test_a_stack_that_never_came_about_is_deleted_too(machine: Machine) -> None:
    """The creation was rolled back, so the stack has no outputs."""
    stack = f"{machine.stack}-failed"
    create_stack(machine, stack)
    code, printed = await machine.run("destroy.py", "--stack", stack, typed=f"{stack}\n")
    assert code == 0, printed
    assert stack not in stacks(machine)


async def test_a_stack_that_is_not_there(machine: Machine) -> None:
    code, printed = await machine.run("destroy.py", "--stack", "another", typed="another\n")
    assert (code, printed.startswith("destroy: there is no stack another")) == (1, True)


async def test_the_protection_is_lifted_before_the_stack_is_deleted(
    machine: Machine, front: AwsFront
) -> None:
    code, printed = await destroy(machine, machine.stack)
    assert code == 0, printed
    assert front.asked.index(PROTECTION) < front.asked.index("cloudformation:DeleteStack")
