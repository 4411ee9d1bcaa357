"""The Lambdas' environment: the table of the test, and a Telnyx that records."""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aws.state import client as local_client
from control_plane import services
from tests.support import moto_stack
from tests.support.clock import Clock
from tests.support.permissions import Caller, role_of
from tests.support.recorded_telnyx import RecordedTelnyx, recorded_telnyx
from tests.support.translated import TEMPLATE


@pytest.fixture(scope="session")
def _telnyx_server() -> Iterator[RecordedTelnyx]:
    with recorded_telnyx() as telnyx:
        yield telnyx


@pytest.fixture
def telnyx(_telnyx_server: RecordedTelnyx) -> RecordedTelnyx:
    _telnyx_server.commands.clear()
    _telnyx_server.refusals.clear()
    _telnyx_server.legs = {"is_alive": True}
    _telnyx_server.questions = 0
    return _telnyx_server


@pytest.fixture(scope="session")
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def caller(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, table_name: str
) -> Iterator[Caller]:
    """Handlers run under the role that the template gives to theirs: `test_x.py` tests `x.py`."""
    module = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    caller = Caller({table_name: "CallsTable"}, role_of(module))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", caller.session())
    yield caller
    assert caller.refused == []


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch,
    dynamodb_address: str,
    table_name: str,
    telnyx: RecordedTelnyx,
    signing_key: Ed25519PrivateKey,
    clock: Clock,
    caller: Caller,
) -> Iterator[None]:
    variables = {
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "CALLS_TABLE": table_name,
        "BASE_PUBLIC_URL": "https://phonebridge.example",
        "OPENAI_API_KEY": "sk-test",
        "TELNYX_API_BASE": telnyx.base,
        "TELNYX_API_KEY": "KEY-test",
        "TELNYX_PUBLIC_KEY": base64.b64encode(signing_key.public_key().public_bytes_raw()).decode(),
        "TELNYX_CONNECTION_ID": "42",
        "TELNYX_FROM_NUMBER": "+15550199",
        "STREAM_TOKEN_SECRET": "stream secret",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(services, "now_ms", clock)
    monkeypatch.setattr(services, "sleep", clock.pass_seconds)
    services.control_plane.cache_clear()
    yield
    services.control_plane.cache_clear()


@pytest.fixture
def reconfigure(environment: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change variables of the environment. The next request reads them."""

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        services.control_plane.cache_clear()

    return set_variables


@pytest.fixture
def sqs(dynamodb_address: str) -> Iterator[Any]:
    client = local_client("sqs", dynamodb_address)
    yield client
    client.close()


@pytest.fixture
def state(
    cloudformation: Any,
    monkeypatch: pytest.MonkeyPatch,
    dynamodb_address: str,
    caller: Caller,
    environment: None,
) -> Mapping[str, str]:
    """The bucket and the queues that the template describes, by their names in it."""
    names = [name for name in moto_stack.names_of_state() if name != "CallsTable"]
    made = moto_stack.create(cloudformation, names)
    caller.physical = {**caller.physical, **{each: name for name, each in made.items()}}
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    for name, value in variables.items():
        if isinstance(value, dict) and value.get("Ref") in made:
            monkeypatch.setenv(name, made[value["Ref"]])
    for service in ("SQS", "S3"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", dynamodb_address)
    services.control_plane.cache_clear()
    return made
