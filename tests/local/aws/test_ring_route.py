from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette

from aws.ring_route import PATH, ring_route
from simulators.scenario import SCENARIOS
from simulators.telnyx.behaviour import Person
from simulators.telnyx.server import TelnyxSimulator

LOCAL = "http://127.0.0.1:3000"


@asynccontextmanager
async def client_of(telnyx: TelnyxSimulator | None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=[ring_route(telnyx)]))
    async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "caller"),
    [({"to": "+15550100"}, "+15550123"), ({"to": "+15550100", "from": "+15550120"}, "+15550120")],
)
async def test_somebody_calls_the_number(body: dict[str, str], caller: str) -> None:
    async with (
        TelnyxSimulator(person=Person(SCENARIOS["short"])) as telnyx,
        client_of(telnyx) as client,
    ):
        answer = await client.post(PATH, json=body)
        [call] = telnyx.calls
        call.hang_up()
    assert answer.status_code == 201
    assert answer.json()["call_control_id"] == call.call_control_id
    assert (call.plan.direction, call.to, call.from_) == ("incoming", "+15550100", caller)


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"to": "12"}', '{"to": "+15550100", "agent": "reception"}']
)
async def test_a_request_that_cannot_be_read_is_answered_with_an_example(body: str) -> None:
    async with (
        TelnyxSimulator(person=Person(SCENARIOS["short"])) as telnyx,
        client_of(telnyx) as client,
    ):
        answer = await client.post(PATH, content=body)
        assert not telnyx.calls
    assert answer.status_code == 422
    assert '{"to": "+15550100"}' in answer.json()["error"]["message"]


async def test_a_real_phone_network_is_not_told_to_ring() -> None:
    async with client_of(None) as client:
        answer = await client.post(PATH, json={"to": "+15550100"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_simulated")


@pytest.mark.parametrize(
    "headers",
    [{"host": "example.ngrok.app"}, {"x-forwarded-for": "203.0.113.7"}]
    + [{"sec-fetch-site": "cross-site"}],
)
async def test_only_this_machine_may_ring(headers: dict[str, str]) -> None:
    async with client_of(None) as client:
        answer = await client.post(PATH, json={"to": "+15550100"}, headers=headers)
    assert answer.status_code == 403
