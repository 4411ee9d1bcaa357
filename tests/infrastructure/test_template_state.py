"""What template.yaml keeps, made by moto's CloudFormation."""

from typing import TYPE_CHECKING, Any

import boto3

from tests.support import moto_stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_everything_that_holds_state_can_be_made(cloudformation: Any) -> None:
    names = moto_stack.names_of_state()
    made = moto_stack.create(cloudformation, names)
    assert made.keys() == set(names)
    assert all(made.values())


def test_the_queue_keeps_its_letters_for_two_weeks(
    cloudformation: Any, dynamodb_address: str, monkeypatch: Any
) -> None:
    url = moto_stack.create(cloudformation, ["DeadLetters"])["DeadLetters"]
    for name, value in (("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")):
        monkeypatch.setenv(name, value)
    sqs = boto3.client("sqs", endpoint_url=dynamodb_address, region_name="us-east-1")
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    sqs.close()
    assert int(queue["MessageRetentionPeriod"]) == 14 * 24 * 60 * 60


def test_the_table_of_the_local_stack_and_of_the_tests_is_the_same(
    client: "DynamoDBClient", cloudformation: Any, table_name: str
) -> None:
    made = moto_stack.create(cloudformation, ["CallsTable"])["CallsTable"]
    on_aws, local = (client.describe_table(TableName=n)["Table"] for n in (made, table_name))
    assert on_aws["KeySchema"] == local["KeySchema"]
    assert on_aws["BillingModeSummary"] == local["BillingModeSummary"]
    assert on_aws["AttributeDefinitions"] == local["AttributeDefinitions"]
    assert [
        {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
        for index in on_aws["GlobalSecondaryIndexes"]
    ] == [
        {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
        for index in local["GlobalSecondaryIndexes"]
    ]
