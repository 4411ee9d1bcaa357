"""Keeps the local table and bucket in a folder, so that they survive a restart of `make dev`."""

import base64
import secrets
import shutil
from pathlib import Path
from typing import Any

import msgspec

from aws.state import client

ITEMS = "table.json"
OBJECTS = "objects"
PASSING = ("FLEET", "TASK#")
"""Partitions that are not saved. They describe containers, and a restart starts new ones."""

Item = dict[str, Any]


def save(address: str, table: str, folder: Path) -> None:
    """Replace the content of the folder. If the services do not answer, it stays as it was."""
    items = msgspec.json.encode(_items(address, table))
    objects = _objects(address)
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for path, content in objects.items():
        _write(fresh / OBJECTS / path, content)
    _write(fresh / ITEMS, items)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def load(address: str, table: str, folder: Path) -> None:
    """Write the content of the folder to the table and the buckets, which must exist. A missing
    folder counts as empty."""
    file = folder / ITEMS
    if not file.exists():
        return
    dynamodb, s3 = client("dynamodb", address), client("s3", address)
    for item in msgspec.json.decode(file.read_bytes(), type=list[Item]):
        dynamodb.put_item(TableName=table, Item=_decode_binary(item))
    for path in (folder / OBJECTS).glob("*/**/*"):
        if path.is_file():
            bucket, *key = path.relative_to(folder / OBJECTS).parts
            s3.put_object(Bucket=bucket, Key="/".join(key), Body=path.read_bytes())


def kept_secret(folder: Path | None) -> str:
    """Return the secret that encrypts the saved state. It is stored beside the folder when it is
    first needed. Without a folder, each run has its own."""
    if folder is None:
        return secrets.token_hex(32)
    file = folder.with_suffix(".secret")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32))
    return file.read_text()


def _items(address: str, table: str) -> list[Item]:
    pages = client("dynamodb", address).get_paginator("scan").paginate(TableName=table)
    items = (item for page in pages for item in page["Items"])
    return [item for item in items if not item["pk"]["S"].startswith(PASSING)]


def _objects(address: str) -> dict[Path, bytes]:
    s3 = client("s3", address)
    found = {}
    for bucket in s3.list_buckets()["Buckets"]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for each in page.get("Contents", ()):
                body = s3.get_object(Bucket=bucket["Name"], Key=each["Key"])["Body"]
                found[Path(bucket["Name"], each["Key"])] = body.read()
    return found


def _decode_binary(value: Any) -> Any:
    """Replace each `{"B": base64}`, as JSON has a binary attribute, by its bytes."""
    match value:
        case {"B": str(encoded), **rest} if not rest:
            return {"B": base64.b64decode(encoded)}
        case dict():
            return {name: _decode_binary(each) for name, each in value.items()}
        case list():
            return [_decode_binary(each) for each in value]
    return value


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
