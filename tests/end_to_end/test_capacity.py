"""One place, and more calls than that."""

from pathlib import Path

from tests.support.whole_calls import System, whole_system

STAYS_ON_THE_LINE, OTHER, CALLER, OUR_NUMBER = "+15550115", "+15550124", "+15550142", "+15550100"


async def test_a_full_container_refuses_calls_to_and_from_us(tmp_path: Path) -> None:
    async with whole_system(tmp_path, {"MAX_CALLS_PER_TASK": "1"}) as system:
        first = await system.dialled(STAYS_ON_THE_LINE)
        await system.streaming(first)
        refused = await system.create(OTHER)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        await caller_is_refused(system)
        assert not system.phones(OTHER)
        await system.steer(first, "hangup")
        assert (await system.ended(first))["outcome"] == "completed"


async def caller_is_refused(system: System) -> None:
    """The call is answered before anybody asks for room. All five media streams are refused, so the
    caller hears a goodbye."""
    (await system.api.put("/api/agents/default", json={})).raise_for_status()
    phone = await system.telnyx.ring(to=OUR_NUMBER, from_=CALLER)
    await phone.ended.wait()
    names = [command.name for command in phone.commands]
    assert names == ["answer", *["streaming_start"] * 5, "speak", "hangup"]
    assert {command.status for command in phone.commands} == {200}
    starts = [each for each in phone.commands if each.name == "streaming_start"]
    assert len({each.command_id for each in starts}) == 5
    answer = await system.api.get("/api/ai-calls/status?ended=true")
    [record] = [call for call in answer.json()["calls"] if call["direction"] == "inbound"]
    assert (record["outcome"], record["reason"]) == ("failed", "streaming_failed")
