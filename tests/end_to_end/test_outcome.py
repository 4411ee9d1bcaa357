"""Inbound calls, with and without an agent for the number, and the server that receives their
outcomes."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from control_plane import outcome_webhook
from phonebridge.http.signature import sign
from simulators.telnyx.call import SimulatedCall
from tests.support.browsers import open_socket
from tests.support.recorded_files import RecordedFiles, recorded_files
from tests.support.waiting import until
from tests.support.whole_calls import CONVERSATION, Record, System, said, whole_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS, NOBODYS, CALLER = "+15550100", "+15550177", "+15550142"
SECRET = "shared with the server"


@dataclass(frozen=True, slots=True)
class Story:
    system: System
    server: RecordedFiles
    answered: SimulatedCall
    rejected: SimulatedCall
    records: dict[str, Record]
    """Records by the called number."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    folder: Path = tmp_path_factory.mktemp("outcome")
    with recorded_files() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome_webhook, "PAUSES_SECONDS", (1, 1, 1))
        server.statuses = [500]
        given = {"TOOL_HOSTS_ALLOWED": server.host, "OUTCOME_WEBHOOK_SECRET": SECRET}
        async with whole_system(folder, given) as system:
            agent = {"instructions": OURS, "webhook_url": f"{server.base}/calls"}
            await put(system, "/api/agents/reception", agent)
            await put(system, f"/api/numbers/{OURS}", {"agent": "reception"})
            rejected = await system.telnyx.ring(to=NOBODYS, from_=CALLER)
            answered = await system.telnyx.ring(to=OURS, from_=CALLER)
            for phone in (rejected, answered):
                await phone.ended.wait()
            await until(lambda: len(server.posted) == 2)
            records = await until(lambda: both_ended(system))
            yield Story(system, server, answered, rejected, records)


async def put(system: System, path: str, body: dict[str, Any]) -> None:
    (await system.api.put(path, json=body)).raise_for_status()


async def both_ended(system: System) -> dict[str, Record]:
    """Return the records once both calls have ended and were reported."""
    listed = (await system.api.get("/api/ai-calls/status?ended=true")).json()["calls"]
    records = [await system.record(call["call_id"]) for call in listed]
    told = [r for r in records if (r["outcome_webhook"] or {}).get("state") != "waiting"]
    return {record["to"]: record for record in told} if len(told) == 2 else {}


async def test_the_agent_of_the_number_answers(story: Story) -> None:
    record = story.records[OURS]
    assert (record["agent"], record["direction"]) == ("reception", "inbound")
    assert said(record) == CONVERSATION


async def test_nobody_answers_another_number(story: Story) -> None:
    record = story.records[NOBODYS]
    assert (record["outcome"], record["reason"]) == ("rejected", "unknown_number")
    assert [each.name for each in story.rejected.commands] == ["reject"]
    assert record["outcome_webhook"] is None


async def test_the_server_is_told_until_it_has_heard(story: Story) -> None:
    first, second = story.server.posted
    for each in (first, second):
        at_ms = int(each.headers["phonebridge-timestamp"]) * 1000
        proof = sign(SECRET, each.body, at_ms)
        assert {name.lower(): value for name, value in proof.items()}.items() <= (
            each.headers.items()
        )
    assert json.loads(first.body)["event_id"] == json.loads(second.body)["event_id"]
    webhook = story.records[OURS]["outcome_webhook"]
    assert (webhook["state"], webhook["attempts"]) == ("delivered", 2)


async def test_what_it_is_told_is_the_whole_record(story: Story) -> None:
    told = json.loads(story.server.posted[-1].body)["call"]
    record = story.records[OURS]
    changing = {"outcome_webhook"}
    assert {name: told[name] for name in told.keys() - changing} == {
        name: record[name] for name in record.keys() - changing
    }


async def test_every_answer_says_whom_it_waited_for(story: Story) -> None:
    [answer] = [turn for turn in story.records[OURS]["turns"] if turn["latency"]]
    parts = answer["latency"]
    assert answer["latency_ms"] == sum(parts.values())
    assert parts["detector_ms"] == 500


async def test_the_server_is_told_of_a_browser_call_that_the_page_ends(story: Story) -> None:
    """No webhook of the carrier reports the end, so the container announces it."""
    system, before = story.system, len(story.server.posted)
    wanted = {"greeting": "Good morning!", "webhook_url": f"{story.server.base}/browser"}
    ticket = (await system.api.post("/api/browser-calls", json=wanted)).raise_for_status().json()
    browser = await open_socket(ticket["media_url"])
    await browser.connected(ticket["media_token"])
    await browser.start()
    await browser.hear("transcript", is_final=True)
    await browser.stop()
    await until(lambda: len(story.server.posted) > before)
    record = await system.record(ticket["call_id"])
    assert record["reason"] == "caller_hung_up"
    assert record["outcome_webhook"]
