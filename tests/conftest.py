"""A DynamoDB on the loopback interface for all tests, and a fresh table for each."""

import functools
import gc
import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.loaders import create_loader
from hypothesis import settings

from aws.dynamodb import create_table, dynamodb, local_client
from aws.template import load_template
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import DynamoFleet
from phonebridge.storage.mailbox import DynamoMailbox
from phonebridge.storage.secret_cipher import SecretCipher
from tests.support import moto_stack
from tests.support.clock import Clock
from tests.support.patient_loop import PatientLoop
from tests.support.story_scheduling import story_scheduling

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


TEMPLATE = load_template()
MAX_WORKERS = 8
STREAM_TOKEN_SECRET = "stream secret"
"""The secret in the environments that the tests give to handlers and containers."""

# boto3 reads the descriptions of AWS's services for each session: longer than most tests take.
botocore.session.create_loader = functools.cache(create_loader)

gc.disable()  # until the tests are collected

settings.register_profile("default", deadline=None)  # the machine may be busy
settings.load_profile("default")


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: the tests wait for sound, sockets and processes half of their time."""
    return min(MAX_WORKERS, 2 * (os.cpu_count() or 1))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return story_scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_finish() -> None:
    """Leave what was imported out of all later collections of garbage. The collector would go
    through millions of objects of which none is ever released: half of a process's start."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_asyncio_loop_factories() -> dict[str, type[PatientLoop]]:
    return {"patient": PatientLoop}


@pytest.fixture(scope="session")
def dynamodb_address() -> Iterator[str]:
    with dynamodb() as address:
        yield address


@pytest.fixture(scope="session")
def client(dynamodb_address: str) -> Iterator["DynamoDBClient"]:
    client = local_client(dynamodb_address)
    yield client
    client.close()


@pytest.fixture(scope="session")
def cloudformation(dynamodb_address: str) -> Iterator[Any]:
    client = moto_stack.cloudformation(dynamodb_address)
    yield client
    client.close()


@pytest.fixture
def table_name(request: pytest.FixtureRequest, client: "DynamoDBClient") -> str:
    """The table that CloudFormation makes (`infrastructure/test_template_state.py`), but sooner."""
    if request.node.get_closest_marker("without_table"):
        return "no-table"
    name = f"calls-{uuid.uuid4()}"
    create_table(client, name, TEMPLATE)
    return name


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(client: "DynamoDBClient", table_name: str, clock: Clock) -> DynamoCallStore:
    return DynamoCallStore(table_name, client, clock, SecretCipher(STREAM_TOKEN_SECRET))


@pytest.fixture
def mailbox(client: "DynamoDBClient", table_name: str, clock: Clock) -> DynamoMailbox:
    return DynamoMailbox(table_name, client, clock, SecretCipher(STREAM_TOKEN_SECRET))


@pytest.fixture
def fleet(client: "DynamoDBClient", table_name: str, clock: Clock) -> DynamoFleet:
    return DynamoFleet(table_name, client, clock)
