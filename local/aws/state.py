"""Creates the queues and the bucket of template.yaml in the local AWS, which `dynamodb.py` serves.
It returns the settings by which handlers find them."""

import json
from typing import Any

import boto3

from aws.template import Template, load_template

SERVICES = ("DYNAMODB", "SQS", "S3")
BUCKET_PREFIX = "phonebridge-local-"


def create_state(address: str, template: Template | None = None) -> dict[str, str]:
    """Create queues and bucket, and return their settings under the names that the template
    uses."""
    template = template or load_template()
    physical = _queues(address, template) | _buckets(address, template)
    variables = template.globals["Function"]["Environment"]["Variables"]
    found = {name: value.get("Ref") for name, value in variables.items() if isinstance(value, dict)}
    settings = {name: physical[ref] for name, ref in found.items() if ref in physical}
    return settings | {f"AWS_ENDPOINT_URL_{service}": address for service in SERVICES}


def client(service: str, address: str) -> Any:
    return boto3.Session().client(
        service,  # type: ignore[call-overload]
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def _queues(address: str, template: Template) -> dict[str, str]:
    """Create the queues under their names in the template, with the same dead-letter queues."""
    sqs = client("sqs", address)
    queues = template.of_type("AWS::SQS::Queue")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in queues}
    for name, properties in queues.items():
        attributes = {
            each: str(properties[each])
            for each in ("DelaySeconds", "VisibilityTimeout")
            if each in properties
        }
        if policy := properties.get("RedrivePolicy"):
            dead = policy["deadLetterTargetArn"]["Fn::GetAtt"].partition(".")[0]
            arn = sqs.get_queue_attributes(QueueUrl=urls[dead], AttributeNames=["QueueArn"])
            target = {
                "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
                "maxReceiveCount": policy["maxReceiveCount"],
            }
            attributes["RedrivePolicy"] = json.dumps(target)
        if attributes:
            sqs.set_queue_attributes(QueueUrl=urls[name], Attributes=attributes)
    return urls


def _buckets(address: str, template: Template) -> dict[str, str]:
    s3 = client("s3", address)
    names = {name: BUCKET_PREFIX + name.lower() for name in template.of_type("AWS::S3::Bucket")}
    for name in names.values():
        s3.create_bucket(Bucket=name)
    return names
