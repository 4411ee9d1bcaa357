"""DynamoDB as both planes reach it."""

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
    """What a request without boto3's client needs."""

    endpoint_url: str
    region: str
    credentials: "Credentials | None"


def dynamodb_client(max_connections: int = 10) -> "DynamoDBClient":
    """`max_connections` is how many threads may use the client at the same time."""
    config = _CONFIG.merge(Config(max_pool_connections=max_connections))
    return boto3.client("dynamodb", config=config)


def heartbeat_client() -> "DynamoDBClient":
    """Gives up soon: the next heartbeat says more than a repetition of this one."""
    return boto3.client("dynamodb", config=_HEARTBEAT_CONFIG)


def dynamodb_access(client: "DynamoDBClient") -> DynamoAccess:
    """As `dynamodb_client` has it: its credentials are the same, and renewed for both."""
    session = boto3.DEFAULT_SESSION or boto3.Session()
    meta = client.meta
    return DynamoAccess(meta.endpoint_url, meta.region_name, session.get_credentials())
