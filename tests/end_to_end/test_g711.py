"""Calls whose sound is passed through to the model untouched, by either law and in either
direction."""

import asyncio
from pathlib import Path

from tests.support.realtime_oracle import Frame, check_client
from tests.support.whole_calls import CONVERSATION, System, said, whole_system

A_LAW = "+15550105"
CALLER, OUR_NUMBER = "+15550142", "+15550100"


async def test_an_a_law_callee_and_a_caller(tmp_path: Path) -> None:
    async with whole_system(tmp_path, {"MODEL_AUDIO": "g711"}) as system:
        await asyncio.gather(a_law_callee(system), caller(system))
        for session in system.model.sessions:
            assert session.errors == []
            for frame in session.received:
                check_client(frame)
            assert formats(session.received) in (
                ({"type": "audio/pcma"}, {"type": "audio/pcmu"}),
                ({"type": "audio/pcma"}, {"type": "audio/pcma"}),
                ({"type": "audio/pcmu"}, {"type": "audio/pcmu"}),
            )
        assert [call.media.flagged for call in system.telnyx.calls] == [[], [], []]


async def a_law_callee(system: System) -> None:
    record = await system.ended(await system.dialled(A_LAW))
    assert said(record) == CONVERSATION
    record = await system.ended(await system.dialled(A_LAW, codec="PCMA"))
    assert said(record) == CONVERSATION
    laws = {law["type"] for law in formats(system.session(A_LAW).received)}
    assert laws == {"audio/pcma"}


async def caller(system: System) -> None:
    agent = await system.api.put("/api/agents/reception", json={"instructions": OUR_NUMBER})
    number = await system.api.put(f"/api/numbers/{OUR_NUMBER}", json={"agent": "reception"})
    assert (agent.status_code, number.status_code) == (200, 200)
    phone = await system.telnyx.ring(to=OUR_NUMBER, from_=CALLER)
    await phone.ended.wait()
    calls = (await system.api.get("/api/ai-calls/status")).json()["calls"]
    calls += (await system.api.get("/api/ai-calls/status?ended=true")).json()["calls"]
    call_ids = {call["call_id"] for call in calls if call["direction"] == "inbound"}
    assert len(call_ids) == 1
    record = await system.ended(call_ids.pop())
    assert (record["from"], record["to"]) == (CALLER, OUR_NUMBER)
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert said(record) == CONVERSATION


def formats(received: list[Frame]) -> tuple[Frame, Frame]:
    """Return the model's input and output formats."""
    [update] = [frame for frame in received if frame["type"] == "session.update"]
    audio = update["session"]["audio"]
    return audio["input"]["format"], audio["output"]["format"]
