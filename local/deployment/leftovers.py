"""Finds, releases and deletes what an operation on the stack leaves or waits for."""

from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

POLL_SECONDS = 10
DELETE_ATTEMPTS = 540
"""An hour and a half: tasks that a deployment has replaced keep their calls for an hour."""


def start_over(cloudformation: Any, name: str, region: str) -> list[str]:
    """Delete a stack whose creation failed, with the resources that its rollback could not delete.
    Return the remaining ones."""
    kept = dict(_data_stores(cloudformation, name))
    unprotect_table(cloudformation, name, region)
    if sources := physical_id(cloudformation, name, "ImageSourceBucket"):
        empty_bucket(sources, region)
    cloudformation.delete_stack(StackName=name)
    try:
        wait_until_deleted(cloudformation, name)
    except WaiterError:
        return remaining_resources(cloudformation, name)
    # A retained store outlives its stack. The creation never finished: it holds nothing.
    return [store for store, kind in kept.items() if not _delete_store(store, kind, region)]


def wait_until_deleted(cloudformation: Any, name: str, poll_seconds: float = POLL_SECONDS) -> None:
    waiter = cloudformation.get_waiter("stack_delete_complete")
    config = {"Delay": poll_seconds, "MaxAttempts": DELETE_ATTEMPTS}
    waiter.wait(StackName=name, WaiterConfig=config)


def remaining_resources(cloudformation: Any, name: str) -> list[str]:
    return [
        f"{each['LogicalResourceId']} {each.get('PhysicalResourceId', '')}".strip()
        for each in _resources(cloudformation, name)
    ]


def shorten_drain(cloudformation: Any, name: str, region: str) -> None:
    """ECS stops a task when its deregistration delay is over, with or without calls. The template
    sets an hour (Amazon ECS, "Load balancer connection draining")."""
    group = physical_id(cloudformation, name, "MediaTargetGroup")
    if group is None:
        return
    boto3.client("elbv2", region_name=region).modify_target_group_attributes(
        TargetGroupArn=group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    )


def unprotect_table(cloudformation: Any, name: str, region: str) -> None:
    """A table with deletion protection would survive even the rollback of its creation."""
    table = physical_id(cloudformation, name, "CallsTable")
    if table is None:
        return
    client: Any = boto3.client("dynamodb", region_name=region)
    try:
        client.update_table(TableName=table, DeletionProtectionEnabled=False)
        client.get_waiter("table_exists").wait(TableName=table)
    except (client.exceptions.ResourceNotFoundException, client.exceptions.ResourceInUseException):
        return  # gone, or still being created: the next try finds it


def empty_bucket(bucket: str, region: str) -> None:
    client = boto3.client("s3", region_name=region)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=each["Key"])


def physical_id(cloudformation: Any, name: str, resource: str) -> str | None:
    """Return the physical id of a resource, or None if the stack does not have it, or no longer."""
    for each in _resources(cloudformation, name):
        if each["LogicalResourceId"] == resource:
            return each.get("PhysicalResourceId") or None
    return None


def _resources(cloudformation: Any, name: str) -> list[dict[str, Any]]:
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    found = pages.build_full_result()["StackResourceSummaries"]
    return [each for each in found if each["ResourceStatus"] != "DELETE_COMPLETE"]


def _data_stores(cloudformation: Any, name: str) -> Iterator[tuple[str, str]]:
    for each in _resources(cloudformation, name):
        kind, store = each["ResourceType"], each.get("PhysicalResourceId")
        if store and kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
            yield store, kind


def _delete_store(store: str, kind: str, region: str) -> bool:
    """Delete a table or a bucket. Return whether it is gone. S3 refuses to delete a bucket with
    content."""
    try:
        if kind == "AWS::S3::Bucket":
            boto3.client("s3", region_name=region).delete_bucket(Bucket=store)
        else:
            boto3.client("dynamodb", region_name=region).delete_table(TableName=store)
    except ClientError as error:
        return error.response["Error"]["Code"] in ("NoSuchBucket", "ResourceNotFoundException")
    return True
