"""The proxy in front of the local DynamoDB: official clients meet the faults behind it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.store_proxy import store_proxy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

IMPATIENT = Config(read_timeout=0.2, retries={"total_max_attempts": 1})
PATIENT = Config(read_timeout=60, retries={"total_max_attempts": 1})


def client_of(address: str, config: Config) -> "DynamoDBClient":
    return boto3.client(
        "dynamodb",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=config,
    )


async def through_proxy(
    table: str,
    fault: StoreFault,
    use: Callable[["DynamoDBClient"], object],
    config: Config = PATIENT,
) -> None:
    async with store_proxy(table, Outage(fault, 0, 60), lambda: 30.0) as address:
        await asyncio.to_thread(use, client_of(address, config))


async def test_requests_pass_while_nothing_fails(dynamodb_address: str, table_name: str) -> None:
    def use(client: "DynamoDBClient") -> None:
        assert client.describe_table(TableName=table_name)["Table"]["TableName"] == table_name

    await through_proxy(dynamodb_address, StoreFault.NONE, use)


async def test_a_throttled_client_is_told_so(dynamodb_address: str) -> None:
    def use(client: "DynamoDBClient") -> None:
        with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
            client.list_tables()

    await through_proxy(dynamodb_address, StoreFault.THROTTLED, use)


async def test_a_table_that_is_away_does_not_answer(dynamodb_address: str) -> None:
    def use(client: "DynamoDBClient") -> None:
        with pytest.raises(ReadTimeoutError):
            client.list_tables()

    await through_proxy(dynamodb_address, StoreFault.UNAVAILABLE, use, IMPATIENT)
