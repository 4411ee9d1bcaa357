"""Clients of DynamoDB for both planes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_dynamodb import DynamoDBClient

# A healthy table answers within milliseconds, and Telnyx gives a webhook two seconds.
_CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}
)

_HEARTBEAT_CONFIG = Config(
    connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 1}
)


@dataclass(frozen=True, slots=True)
class DynamoAccess:
    """What a request needs that does not use boto3's client."""

    endpoint_url: str
    region: str
    credentials: "Credentials | None"


def dynamodb_client(max_connections: int = 10) -> "DynamoDBClient":
    """Create a client. `max_connections` is the number of threads that may use it at the same
    time."""
    config = _CONFIG.merge(Config(max_pool_connections=max_connections))
    return boto3.client("dynamodb", config=config)


def heartbeat_client() -> "DynamoDBClient":
    """Create a client for heartbeats. It gives up soon, because the next heartbeat is worth more
    than a retry."""
    return boto3.client("dynamodb", config=_HEARTBEAT_CONFIG)


def dynamodb_access(client: "DynamoDBClient") -> DynamoAccess:
    """Return the address and credentials of a client. Both share the credentials, which are renewed
    for both."""
    session = boto3.DEFAULT_SESSION or boto3.Session()
    meta = client.meta
    return DynamoAccess(meta.endpoint_url, meta.region_name, session.get_credentials())
