"""The local DynamoDB: one request at a time, and as its own process."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto.dynamodb.responses import DynamoHandler

from aws import dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_no_request_is_served_while_another_is(
    client: "DynamoDBClient", table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = threading.Barrier(2)
    met: list[bool] = []
    serve = dynamodb._moto_call_action

    def wait_for_company(handler: DynamoHandler) -> Any:
        try:
            company.wait(timeout=0.2)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        return serve(handler)

    monkeypatch.setattr(dynamodb, "_moto_call_action", wait_for_company)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: client.describe_table(TableName=table_name), range(2)))
    assert met == [False, False]


def test_it_serves_the_table_of_the_template_until_it_is_stopped() -> None:
    program = [sys.executable, str(Path(dynamodb.__file__)), "--port", "0", "--table", "calls"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with closing(dynamodb.local_client(address)) as client:
            table = client.describe_table(TableName="calls")["Table"]
            ttl = client.describe_time_to_live(TableName="calls")["TimeToLiveDescription"]
        process.terminate()
    assert process.returncode == 0
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == {"live", "ended"}
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
