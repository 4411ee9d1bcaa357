"""No call stays open, however its webhooks race, repeat, arrive in disorder or get lost."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import product
from random import Random
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import sweep_calls
import telnyx_webhook
from benchmarks.control_plane.cold_start import EVENTS, signed
from control_plane import services
from phonebridge.call.call import Call, Leg, Outcome
from phonebridge.call.commands import CarrierCommand, Dial
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallEvent, MediaAttached, MediaReported
from phonebridge.call.overdue import LegState
from phonebridge.errors import Conflict, PhonebridgeError, TelnyxRefused
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.telnyx.refusals import CALL_ALREADY_ENDED
from tests.support.calls import outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CALLS, TOGETHER, WORKERS = 50, 5, 10
"""Calls in all, calls whose events are mixed, threads that deliver them."""
DELIVERIES, LOST_SHARE = 5, 0.15
SWEEPS, SWEEP_PAUSE_SECONDS = 4, 200.0
WEBHOOKS = {
    name: json.loads((EVENTS / "telnyx" / f"{name}.json").read_text())
    for name in ("call.initiated", "call.answered", "call.hangup")
}
KEY = Ed25519PrivateKey.generate()
ENVIRONMENT = {
    "BASE_PUBLIC_URL": "https://phonebridge.example",
    "TELNYX_API_KEY": "KEY",
    "TELNYX_PUBLIC_KEY": b64encode(KEY.public_key().public_bytes_raw()).decode(),
    "STREAM_TOKEN_SECRET": "secret",
}


class Carrier:
    """Telnyx, as far as it knows which legs have ended."""

    def __init__(self) -> None:
        self.ended: set[str] = set()

    def execute(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        if call.call_id in self.ended:
            raise TelnyxRefused(422, CALL_ALREADY_ENDED, "Call has already ended")
        return Leg(f"v3:{call.call_id}", call.call_id) if isinstance(command, Dial) else None

    def look_up(self, leg: Leg) -> LegState:
        return LegState(is_alive=leg.call_leg_id not in self.ended)


@pytest.fixture
def conflicts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls for which a writer lost a race."""
    lost: list[str] = []
    save = DynamoCallStore.save

    def saving(store: DynamoCallStore, call: Call) -> None:
        try:
            save(store, call)
        except Conflict:
            lost.append(call.call_id)
            raise

    monkeypatch.setattr(DynamoCallStore, "save", saving)
    return lost


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def plane(
    monkeypatch: pytest.MonkeyPatch,
    client: "DynamoDBClient",
    table_name: str,
    clock: Clock,
    carrier: Carrier,
) -> services.ControlPlane:
    for name, value in {**ENVIRONMENT, "CALLS_TABLE": table_name}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(services, "dynamodb_client", lambda: client)
    monkeypatch.setattr(services, "TelnyxClient", lambda *_, **__: carrier)
    monkeypatch.setattr(services, "now_ms", clock)
    monkeypatch.setattr(services, "sleep", clock.pass_seconds)
    plane = services.control_plane.__wrapped__()
    for handler in (telnyx_webhook, sweep_calls):
        monkeypatch.setattr(handler, "control_plane", lambda: plane)
    return plane


def deliver(name: str, call_id: str, clock: Clock) -> None:
    """Repeat the webhook until it is accepted, as Telnyx does."""
    at = datetime.fromtimestamp(clock.now_ms / 1000, UTC).isoformat()
    data = {"id": f"{name} {call_id}", "occurred_at": at}
    state = b64encode(call_id.encode()).decode()
    leg = {"client_state": state, "call_control_id": f"v3:{call_id}", "call_leg_id": call_id}
    event = signed(WEBHOOKS[name], data, leg, KEY, clock.now_ms / 1000)
    for _ in range(DELIVERIES):
        if telnyx_webhook.handler(event, None)["statusCode"] == 200:
            return


def apply(plane: services.ControlPlane, call_id: str, event: CallEvent) -> None:
    with suppress(PhonebridgeError):  # the call was over before the container had it
        plane.switchboard.apply(call_id, event)


def jobs_of(
    call_ids: list[str], lost: set[tuple[str, str]], plane: services.ControlPlane, clock: Clock
) -> Iterator[Callable[[], object]]:
    """All reports about the calls: each webhook of Telnyx twice, each report of the container
    once."""
    events: tuple[CallEvent, ...] = (
        MediaAttached(1, "task-1", clock.now_ms),
        MediaReported(1),
    )
    for call_id, name in product(call_ids, WEBHOOKS):
        if (call_id, name) not in lost:
            yield from [partial(deliver, name, call_id, clock)] * 2
    for call_id, event in product(call_ids, events):
        yield partial(apply, plane, call_id, event)


def test_every_record_is_terminal_and_complete_unless_a_webhook_got_lost(
    plane: services.ControlPlane, carrier: Carrier, clock: Clock, conflicts: list[str]
) -> None:
    chance = Random(20)
    call_ids = [f"call-{number}" for number in range(CALLS)]
    lost = {each for each in product(call_ids, WEBHOOKS) if chance.random() < LOST_SHARE}
    with ThreadPoolExecutor(WORKERS) as workers:
        for first in range(0, CALLS, TOGETHER):
            together = call_ids[first : first + TOGETHER]
            for call_id in together:
                plane.switchboard.place(outbound_call(call_id), CallConfig())
            jobs = list(jobs_of(together, lost, plane, clock))
            jobs += [partial(carrier.ended.add, call_id) for call_id in together]
            chance.shuffle(jobs)
            list(workers.map(lambda job: job(), jobs))
    for _ in range(SWEEPS):
        clock.pass_seconds(SWEEP_PAUSE_SECONDS)
        sweep_calls.handler({}, None)

    assert list(plane.store.possibly_live()) == []
    assert conflicts  # or nothing was at stake
    for call_id in call_ids:
        record = plane.record(call_id)
        assert is_terminal(record.call), call_id
        if not lost & set(product([call_id], WEBHOOKS)):
            assert record.call.outcome is Outcome.COMPLETED
            times_noted = Counter(entry.what for entry in record.timeline)
            assert (times_noted["call.answered"], times_noted["call.hangup"]) == (1, 1), call_id


def is_terminal(call: Call) -> bool:
    return call.outcome is not None and not call.may_be_up
