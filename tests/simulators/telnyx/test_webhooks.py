"""Webhooks as their receiver sees them."""

import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from telnyx import Telnyx

from simulators.scenario import SCENARIOS
from simulators.telnyx import reports
from simulators.telnyx.account import CONNECTION_ID
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.server import TelnyxSimulator
from tests.support.telnyx_counterpart import Delivery, WebhookReceiver, webhook_receiver
from tests.support.waiting import TIMEOUT_SECONDS

BUSY = Person(SCENARIOS["short"], answers_after_ms=0, refuses="busy")
NO_FAULTS = CarrierFaults()


@asynccontextmanager
async def ringing(
    person: Person = BUSY, faults: CarrierFaults = NO_FAULTS, answers: list[int] | None = None
) -> AsyncIterator[tuple[TelnyxSimulator, WebhookReceiver]]:
    async with webhook_receiver() as receiver:
        receiver.answers = answers or []
        async with TelnyxSimulator(
            person=person, faults=faults, webhook_url=receiver.url
        ) as simulator:
            yield simulator, receiver


async def dial(simulator: TelnyxSimulator, **options: Any) -> httpx.Response:
    body = {"connection_id": CONNECTION_ID, "to": "+15550100", "from": "+15550199"} | options
    async with httpx.AsyncClient(headers={"authorization": "Bearer KEY-test"}) as http:
        return await http.post(f"{simulator.api_base}/calls", json=body)


def retried_after(*retries_ms: int) -> dict[str, Any]:
    events = ("call.initiated", "call.hangup")
    return {"webhook_retries_policies": {each: {"retries_ms": retries_ms} for each in events}}


def verify(delivery: Delivery, public_key: str) -> None:
    signature = base64.b64decode(delivery.headers["telnyx-signature-ed25519"])
    signed = delivery.headers["telnyx-timestamp"].encode() + b"|" + delivery.body
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)).verify(signature, signed)


async def test_the_envelope_is_that_of_version_two() -> None:
    async with ringing() as (simulator, receiver):
        await dial(simulator, client_state="Y2FsbC0x")
        initiated = (await receiver.wait_for("call.initiated")).json
        hangup = (await receiver.wait_for("call.hangup")).json
    [call] = simulator.calls
    assert initiated["meta"] == {"attempt": 1, "delivered_to": receiver.url}
    assert initiated["data"]["record_type"] == "event"
    common = {
        "call_control_id": call.call_control_id,
        "call_leg_id": call.call_leg_id,
        "call_session_id": call.plan.call_session_id,
        "connection_id": CONNECTION_ID,
        "client_state": "Y2FsbC0x",
        "from": "+15550199",
        "to": "+15550100",
        "start_time": call.start_time,
    }
    assert common.items() <= initiated["data"]["payload"].items()
    assert common.items() <= hangup["data"]["payload"].items()
    assert initiated["data"]["payload"]["direction"] == "outgoing"
    assert initiated["data"]["payload"]["state"] == "bridging"


async def test_a_delivery_is_signed_over_its_timestamp_and_raw_body() -> None:
    async with ringing() as (simulator, receiver):
        await dial(simulator)
        delivery = await receiver.wait_for("call.initiated")
    assert abs(int(delivery.headers["telnyx-timestamp"]) - time.time()) < 60
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.headers["user-agent"] == "telnyx-webhooks"
    assert len(base64.b64decode(simulator.public_key)) == 32
    verify(delivery, simulator.public_key)
    with pytest.raises(InvalidSignature):
        verify(replace(delivery, body=delivery.body + b" "), simulator.public_key)


async def test_the_official_sdk_accepts_every_delivery() -> None:
    async with ringing() as (simulator, receiver):
        await dial(simulator)
        await receiver.wait_for("call.initiated")
        await receiver.wait_for("call.hangup")
    with Telnyx(api_key="KEY-test", public_key=simulator.public_key) as sdk:
        names = {
            type(sdk.webhooks.unwrap(each.body.decode(), headers=each.headers)).__name__
            for each in receiver.deliveries
        }
    assert names == {"CallInitiatedWebhookEvent", "CallHangupWebhookEvent"}


@pytest.mark.parametrize("refusal", [503, 429])
async def test_a_refused_delivery_is_tried_again_as_the_same_event(refusal: int) -> None:
    async with ringing(answers=[refusal, refusal]) as (simulator, receiver):
        await dial(simulator, **retried_after(10))
        first = await receiver.wait_for("call.hangup")
        again = await receiver.wait_for("call.hangup", 2)
        await receiver.wait_for("call.initiated", 2)
    assert first.json["data"] == again.json["data"]
    assert [each.json["meta"]["attempt"] for each in (first, again)] == [1, 2]
    verify(again, simulator.public_key)
    assert [each.statuses for each in simulator.calls[0].webhooks] == [[refusal, 200]] * 2


@pytest.mark.parametrize("refusal", [401, 302])
async def test_other_refusals_are_final(refusal: int) -> None:
    async with ringing(answers=[refusal, refusal]) as (simulator, receiver):
        await dial(simulator, **retried_after(10))
        await receiver.wait_for("call.hangup")
        await receiver.wait_for("call.initiated")
    assert [each.statuses for each in simulator.calls[0].webhooks] == [[refusal]] * 2


async def test_a_receiver_that_is_not_there_is_a_failure_and_the_failover_url_is_tried() -> None:
    async with (
        webhook_receiver() as failover,
        TelnyxSimulator(
            person=BUSY,
            webhook_url="http://127.0.0.1:9/nobody",
            webhook_failover_url=failover.url,
        ) as simulator,
    ):
        await dial(simulator, **retried_after(10, 10, 10))
        await failover.wait_for("call.hangup")
    hangup = simulator.calls[0].webhooks[-1]
    assert hangup.statuses == [None, None, 200]
    assert failover.deliveries[-1].json["meta"] == {"attempt": 3, "delivered_to": failover.url}


async def test_a_call_can_have_its_own_webhook_url() -> None:
    async with webhook_receiver() as own, ringing() as (simulator, receiver):
        await dial(simulator, webhook_url=own.url)
        await own.wait_for("call.hangup")
    assert receiver.deliveries == []


async def test_webhooks_may_come_twice_with_one_id() -> None:
    async with ringing(faults=CarrierFaults(duplicate_webhooks=True)) as (simulator, receiver):
        await dial(simulator)
        await receiver.wait_for("call.initiated", 2)
        await receiver.wait_for("call.hangup", 2)
    assert len({each.json["data"]["id"] for each in receiver.deliveries}) == 2


async def test_webhooks_may_overtake_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_WEBHOOK_HOLD_SECONDS", TIMEOUT_SECONDS)
    async with ringing(faults=CarrierFaults(swap_webhooks=True)) as (simulator, receiver):
        await dial(simulator)
        await receiver.wait_for("call.initiated")
    assert receiver.types == ["call.hangup", "call.initiated"]


async def test_hangup_may_come_before_answered() -> None:
    person = replace(BUSY, refuses=None, silence_timeout_ms=40)
    async with ringing(person, CarrierFaults(hangup_before_answered=True)) as (simulator, receiver):
        await dial(simulator)
        await receiver.wait_for("call.answered")
    assert receiver.types == ["call.initiated", "call.hangup", "call.answered"]


async def test_a_webhook_may_come_before_the_answer_to_the_dial() -> None:
    async with ringing(faults=CarrierFaults(webhook_before_dial_answer=True)) as (
        simulator,
        receiver,
    ):
        await dial(simulator)
        assert "call.initiated" in receiver.types
