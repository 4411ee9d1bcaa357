"""A browser call through the whole system: the API, the local gateway's relay, container, model."""

from typing import Any

import pytest

from simulators.audio.speech import CLIPS
from tests.support.browsers import FRAME_MS, Browser, open_socket
from tests.support.waiting import until
from tests.support.whole_calls import System

pytestmark = pytest.mark.asyncio(loop_scope="package")

Ticket = dict[str, Any]


async def create_call(system: System, **body: Any) -> Ticket:
    answer = await system.api.post("/api/browser-calls", json=body)
    assert answer.status_code == 201, answer.text
    ticket: Ticket = answer.json()
    return ticket


async def join(ticket: Ticket, encoding: str = "PCMU") -> Browser:
    browser = await open_socket(ticket["media_url"], encoding)
    await browser.connected(ticket["media_token"])
    await browser.start()
    return browser


async def record_of(system: System, ticket: Ticket) -> dict[str, Any]:
    """The record of a call that has ended, once its container has written everything."""

    async def complete() -> dict[str, Any]:
        record = await system.record(ticket["call_id"])
        return record if record["status"] == "ended" and record["usage"]["responses"] else {}

    return await until(complete)


@pytest.mark.parametrize(("audio", "encoding"), [("pcmu", "PCMU"), ("l16", "L16")])
async def test_a_browser_talks_until_it_hangs_up(system: System, audio: str, encoding: str) -> None:
    ticket = await create_call(system, greeting="Good morning!", audio=audio)
    browser = await join(ticket, encoding)
    await browser.hear("transcript", is_final=True, speaker="agent")
    await browser.say("caller_what_to_bring", FRAME_MS / 1000)
    heard = await browser.hear("transcript", is_final=True, speaker="caller")
    assert heard["text"] == CLIPS["caller_what_to_bring"].text
    await browser.hear("latency")
    await browser.stop()
    assert await browser.closed() == 1000
    record = await record_of(system, ticket)
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert record["cost"]["carrier"] == 0
    assert [turn["who"] for turn in record["turns"]][:2] == ["agent", "caller"]


async def test_a_browser_loses_its_socket_and_goes_on(system: System) -> None:
    ticket = await create_call(system, greeting="Good morning!")
    lost = await join(ticket)
    await lost.hear("transcript", is_final=True, speaker="agent")
    await lost.vanish()
    renewed = await system.api.post(f"/api/browser-calls/{ticket['call_id']}/media")
    assert renewed.status_code == 201, renewed.text
    browser = await join(renewed.json())
    await browser.hear("state", name="listening")
    await browser.say("caller_what_to_bring", FRAME_MS / 1000)
    await browser.hear("transcript", is_final=True, speaker="caller")
    assert (await system.post(ticket["call_id"], "hangup")).status_code == 202
    await browser.hear("state", name="ended", reason="ended_by_api")
    assert await browser.closed() == 1000
    record = await record_of(system, ticket)
    assert (record["outcome"], record["reason"]) == ("completed", "ended_by_api")


async def test_a_token_that_was_used_is_refused_through_the_gateway(system: System) -> None:
    ticket = await create_call(system)
    await (await join(ticket)).hear("state", name="listening")
    second = await join(ticket)
    assert await second.closed() in (4401, 4409)
    assert (await system.post(ticket["call_id"], "hangup")).status_code == 202
