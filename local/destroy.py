"""Deletes the stack after its name has been typed: `make destroy`. The records of calls stay unless
`--delete-table` is given."""

import argparse
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from deployment import answers as remembered
from deployment.stack import DeployedStack, StackMissing, require


def destroy(stack: DeployedStack, *, delete_table: bool) -> None:
    if sources := stack.outputs.get("ImageSourceBucketName"):
        _empty(sources, stack.region)  # otherwise CloudFormation would not delete it
    client = boto3.client("cloudformation", region_name=stack.region)
    if "MediaLoadBalancerName" in stack.outputs:
        _shorten_drain(client, stack)
    client.delete_stack(StackName=stack.name)
    print(f"deleting {stack.name}; this takes some minutes and ends all calls")
    # Longer than an hour, because tasks that a deployment has just replaced keep their calls.
    waiter = client.get_waiter("stack_delete_complete")
    waiter.wait(StackName=stack.name, WaiterConfig={"Delay": 30, "MaxAttempts": 180})
    table = stack.outputs.get("CallsTableName")
    if table is None:
        return  # the creation of the stack was rolled back
    print(f"kept: bucket {stack.outputs['RecordingsBucketName']}, with copies of recordings")
    if not delete_table:
        print(f"kept: table {table}, with the records of all calls (--delete-table deletes it)")
        return
    dynamodb = boto3.client("dynamodb", region_name=stack.region)
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    dynamodb.delete_table(TableName=table)
    print(f"deleted: table {table}")


def _shorten_drain(cloudformation: Any, stack: DeployedStack) -> None:
    """Set the deregistration delay to zero. ECS waits for it even if a task has no calls, and the
    template sets it to an hour (Amazon ECS, "Load balancer connection draining")."""
    group = cloudformation.describe_stack_resource(
        StackName=stack.name, LogicalResourceId="MediaTargetGroup"
    )["StackResourceDetail"]["PhysicalResourceId"]
    boto3.client("elbv2", region_name=stack.region).modify_target_group_attributes(
        TargetGroupArn=group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    )


def _empty(bucket: str, region: str) -> None:
    client = boto3.client("s3", region_name=region)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=each["Key"])


def _confirm(stack: DeployedStack, delete_table: bool) -> bool:
    records = "and all records of calls" if delete_table else "but not the records of calls"
    print(f"This deletes {stack.name} in {stack.region}, {records}.")
    try:
        return input("Type its name to continue: ").strip() == stack.name
    except EOFError:
        return False


def main() -> None:
    known = remembered.load(remembered.FILE)
    parser = argparse.ArgumentParser(prog="make destroy", description=__doc__)
    parser.add_argument("--stack", default=known.stack)
    parser.add_argument("--region", default=known.region or None)
    parser.add_argument(
        "--delete-table", action="store_true", help="delete the records of calls as well"
    )
    options = parser.parse_args()
    try:
        stack = require(options.stack, options.region)
        if not _confirm(stack, options.delete_table):
            sys.exit("destroy: the name does not match; nothing was changed")
        destroy(stack, delete_table=options.delete_table)
    except (StackMissing, BotoCoreError, ClientError, WaiterError) as error:
        sys.exit(f"destroy: {error}")


if __name__ == "__main__":
    main()
