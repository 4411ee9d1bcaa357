"""Creates resources of template.yaml with moto's CloudFormation."""

import json
import uuid
from collections.abc import Collection
from typing import Any

import boto3

from tests.support.translated import TEMPLATE, resources

# Types that moto creates as CloudFormation does. Of others it ignores properties, or does not know
# them.
STATE = ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::SNS::Topic")


def cloudformation(address: str) -> Any:
    return boto3.client(
        "cloudformation",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def create(client: Any, names: Collection[str]) -> dict[str, str]:
    """Create a stack of these resources and return their physical ids."""
    stack_name = f"stack-{uuid.uuid4()}"
    body = {
        "Parameters": TEMPLATE["Parameters"],
        "Resources": {name: resources()[name] for name in names},
    }
    client.create_stack(StackName=stack_name, TemplateBody=json.dumps(body))
    made = client.describe_stack_resources(StackName=stack_name)["StackResources"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in made}


def names_of_state() -> list[str]:
    """Return the names of the resources that every stack has."""
    return [
        name
        for name, resource in resources().items()
        if resource["Type"] in STATE and "Condition" not in resource
    ]
