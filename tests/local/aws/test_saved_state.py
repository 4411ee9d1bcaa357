from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws.dynamodb import create_table, dynamodb, local_client
from aws.saved_state import load, save
from aws.state import client, create_state
from aws.template import load_template

TABLE = "calls"
CALL: dict[str, Any] = {
    "pk": {"S": "CALL#1"},
    "sk": {"S": "META"},
    "count": {"N": "3"},
    "sound": {"B": b"\x00\xff"},
    "nested": {"L": [{"M": {"inner": {"B": b"\x01"}}}]},
}
HEARTBEAT: dict[str, Any] = {"pk": {"S": "FLEET"}, "sk": {"S": "TASK#local"}}
MAILBOX: dict[str, Any] = {"pk": {"S": "TASK#local"}, "sk": {"S": "STALE#1"}}
RECORDING = "recordings/call-1/recording-1.mp3"


@pytest.fixture
def address() -> Iterator[str]:
    with dynamodb() as address:
        _create(address)
        yield address


def _create(address: str) -> None:
    """What is there at the start of `make dev`."""
    s3 = client("s3", address)
    for bucket in s3.list_buckets()["Buckets"]:
        for each in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ()):
            s3.delete_object(Bucket=bucket["Name"], Key=each["Key"])
        s3.delete_bucket(Bucket=bucket["Name"])
    tables = local_client(address)
    if TABLE in tables.get_paginator("list_tables").paginate().build_full_result()["TableNames"]:
        tables.delete_table(TableName=TABLE)
    create_table(tables, TABLE, load_template())
    create_state(address)


def items(address: str) -> list[dict[str, object]]:
    return [dict(item) for item in local_client(address).scan(TableName=TABLE)["Items"]]


def bucket_of(address: str) -> str:
    buckets = client("s3", address).list_buckets()["Buckets"]
    names: list[str] = [bucket["Name"] for bucket in buckets]
    return next(name for name in names if "recordings" in name)


def test_records_and_recordings_come_back_after_a_restart(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "build" / "state"
    local_client(address).put_item(TableName=TABLE, Item=CALL)
    client("s3", address).put_object(Bucket=bucket_of(address), Key=RECORDING, Body=b"sound")
    save(address, TABLE, folder)
    _create(address)
    assert items(address) == []

    load(address, TABLE, folder)
    assert items(address) == [CALL]
    kept = client("s3", address).get_object(Bucket=bucket_of(address), Key=RECORDING)
    assert kept["Body"].read() == b"sound"


def test_containers_of_the_last_run_do_not_come_back(address: str, tmp_path: Path) -> None:
    for item in (CALL, HEARTBEAT, MAILBOX):
        local_client(address).put_item(TableName=TABLE, Item=item)
    save(address, TABLE, tmp_path / "state")
    _create(address)
    load(address, TABLE, tmp_path / "state")
    assert items(address) == [CALL]


def test_what_was_deleted_does_not_come_back(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    local_client(address).put_item(TableName=TABLE, Item=CALL)
    client("s3", address).put_object(Bucket=bucket_of(address), Key=RECORDING, Body=b"sound")
    save(address, TABLE, folder)
    _create(address)
    save(address, TABLE, folder)
    load(address, TABLE, folder)
    assert items(address) == []
    assert not client("s3", address).list_objects_v2(Bucket=bucket_of(address)).get("Contents")


def test_the_first_run_has_nothing_to_load(address: str, tmp_path: Path) -> None:
    load(address, TABLE, tmp_path / "missing")
    assert items(address) == []
