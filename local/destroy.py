"""Deletes the stack after its name has been typed: `make destroy`. The records of calls stay unless
`--delete-table` is given."""

import argparse
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from deployment import answers as remembered
from deployment.leftovers import empty_bucket, shorten_drain, wait_until_deleted
from deployment.stack import DeployedStack, StackMissing, protect, require


def destroy(stack: DeployedStack, *, delete_table: bool) -> None:
    if sources := stack.outputs.get("ImageSourceBucketName"):
        empty_bucket(sources, stack.region)  # or CloudFormation would not delete it
    client = boto3.client("cloudformation", region_name=stack.region)
    if "MediaLoadBalancerName" in stack.outputs:
        shorten_drain(client, stack.name, stack.region)
    protect(stack.name, stack.region, is_protected=False)
    client.delete_stack(StackName=stack.name)
    print(f"deleting {stack.name}; this takes some minutes, and calls that still run are cut off")
    wait_until_deleted(client, stack.name)
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
