"""A storm, simulated: calls that are all answered within one second, are all told something within
one second, and are all hung up within one second. Webhook handler, switchboard, store, mailbox,
fleet, admission and sweeper are the real ones, on virtual time (virtual_time.py), on a table in
memory (table_in_memory.py), among players (players.py).
"""

import logging
import os
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import control_plane
import sweep_calls
import telnyx_webhook
from control_plane import ControlPlane
from cost import FILL
from limits import LAMBDA_RUNS, SLOTS, WEBHOOK_REQUESTS
from phonebridge.call import Call, CallStatus, Direction, Outcome
from phonebridge.call_config import CallConfig
from phonebridge.errors import AtCapacity
from phonebridge.steering import Say
from phonebridge.store import CallRecord
from players import EPOCH, TELLS, WEBHOOKS, Container, Lambdas, Route, Seen, Telnyx
from table_in_memory import TableInMemory
from virtual_time import VirtualTime

SEED = 20
PLACING_SECONDS = 20
"""A thousand calls are placed at 50 a second."""
SWEEPS = range(60, 300, 60)
DYNAMODB_SECONDS = (0.003, 0.008)


@dataclass(frozen=True, slots=True)
class Storm:
    calls: int
    webhooks_a_second: float = WEBHOOK_REQUESTS
    lambdas: float = LAMBDA_RUNS


@dataclass(frozen=True, slots=True)
class Passed:
    """What came of a storm."""

    storm: Storm
    table: TableInMemory
    seen: Seen
    ends: Counter[str]

    @property
    def races(self) -> int:
        """Lost between a load and its save."""
        return self.table.refused["version = :given"]


def weathered(storm: Storm) -> Passed:
    time, seen, ends = VirtualTime(SEED), Seen(), Counter[str]()
    table = TableInMemory(
        lambda: time.now, lambda: time.sleep(time.chance.uniform(*DYNAMODB_SECONDS))
    )
    key = Ed25519PrivateKey.generate()
    webhooks, api = (Lambdas(time, seen, storm.lambdas) for _ in range(2))
    telnyx = Telnyx(time, seen, Route(time, webhooks, storm.webhooks_a_second), key)
    with _in_this_world(time, table, telnyx, webhooks, key):
        plane = control_plane.control_plane.__wrapped__()
        for number in range(ceil(storm.calls / (SLOTS * FILL))):
            container = Container(f"task-{number}", plane, table, telnyx, time, seen)
            telnyx.containers.append(container)
            time.start(container.beat)
            time.start(container.read_mail, after=time.chance.random())
        for number in range(storm.calls):
            place = partial(_place, call_id=_call_id(number), seen=seen)
            time.start(partial(api.run, place), after=1 + number * PLACING_SECONDS / storm.calls)
            say = partial(_say, call_id=_call_id(number))
            time.start(partial(api.run, say), after=TELLS + time.chance.random())
        for at in SWEEPS:
            time.start(partial(_sweep, time, webhooks, seen), after=at)
        time.start(lambda: ends.update(_ends(plane, storm.calls)), after=SWEEPS.stop)
        time.run()
    return Passed(storm, table, seen, ends)


def _call_id(number: int) -> str:
    return f"call-{number:08d}"


@contextmanager
def _in_this_world(
    time: VirtualTime,
    table: TableInMemory,
    telnyx: Telnyx,
    lambdas: Lambdas,
    key: Ed25519PrivateKey,
) -> Iterator[None]:
    """Where the Lambdas' code meets what is outside."""
    environ = {
        "CALLS_TABLE": "calls",
        "BASE_PUBLIC_URL": "https://phonebridge.example",
        "TELNYX_API_KEY": "KEY",
        "TELNYX_PUBLIC_KEY": b64encode(key.public_key().public_bytes_raw()).decode(),
        "TELNYX_CONNECTION_ID": "1",
        "TELNYX_FROM_NUMBER": "+15550100",
        "STREAM_TOKEN_SECRET": "secret",
    }
    with (
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.multiple(
            control_plane,
            dynamodb_client=lambda: table,
            TelnyxClient=lambda *_, **__: telnyx,
            now_ms=lambda: int((EPOCH + time.now) * 1000),
        ),
        mock.patch.object(control_plane.log.registered_handler, "level", logging.CRITICAL),
        mock.patch.object(telnyx_webhook, "control_plane", lambdas.control_plane),
        mock.patch.object(sweep_calls, "control_plane", lambdas.control_plane),
    ):
        yield


def _place(plane: ControlPlane, call_id: str, seen: Seen) -> None:
    """As `ai_calls` does."""
    call = Call(
        call_id=call_id,
        direction=Direction.OUTBOUND,
        to="+15550123",
        from_="+15550100",
        created_at_ms=plane.now_ms(),
    )
    try:
        plane.admission.admit()
    except AtCapacity:
        seen.turned_away += 1
    else:
        plane.fleet.reserve(plane.switchboard.place(call, CallConfig()))


def _say(plane: ControlPlane, call_id: str) -> None:
    """As `live_calls` does."""
    call = plane.store.load(call_id)
    if call and call.owner_task:
        plane.mailbox.post(call.owner_task, call_id, Say(words="Good evening!"))


def _sweep(time: VirtualTime, lambdas: Lambdas, seen: Seen) -> None:
    began = time.now
    lambdas.run(lambda _: sweep_calls.handler({}, None))
    seen.sweep_seconds.append(time.now - began)


def _ends(plane: ControlPlane, calls: int) -> Iterator[str]:
    for number in range(calls):
        if record := plane.store.record(_call_id(number)):
            yield _end(record)


def _end(record: CallRecord) -> str:
    call = record.call
    if call.status is not CallStatus.ENDED or call.may_be_up:
        return f"left {call.status}"
    if (call.outcome, call.reason) != (Outcome.COMPLETED, "callee_hung_up"):
        return f"{call.outcome}: {call.reason}"
    told = Counter(each.what for each in record.timeline if each.what in WEBHOOKS)
    parts = record.turns and record.usages and record.charges and call.activity.turns
    return "whole" if told == Counter(WEBHOOKS) and parts else "incomplete"
