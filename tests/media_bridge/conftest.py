"""A media container for each test that starts one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from media_bridge.audio import pace_limit
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import DynamoFleet
from phonebridge.storage.mailbox import DynamoMailbox
from simulators.openai.faults import NO_FAULTS
from tests.support.clock import Clock
from tests.support.media_plane import Providers, StartsPlane, media_plane
from tests.support.recorded_telnyx import RecordedTelnyx, recorded_telnyx

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def telnyx() -> Iterator[RecordedTelnyx]:
    with recorded_telnyx() as telnyx:
        yield telnyx


@pytest.fixture
def start_plane(
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
    fleet: DynamoFleet,
    telnyx: RecordedTelnyx,
    clock: Clock,
    client: "DynamoDBClient",
    table_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> StartsPlane:
    """The phones of these tests speak as fast as the sockets take it."""
    monkeypatch.setattr(pace_limit, "BURST_SECONDS", 3600.0)
    providers = Providers(
        store=store, mailbox=mailbox, fleet=fleet, telnyx=telnyx, clock=clock, client=client
    )
    return lambda faults=NO_FAULTS, **changes: media_plane(
        providers, faults, calls_table=table_name, **changes
    )
