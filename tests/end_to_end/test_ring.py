"""`make ring`: a simulated caller and the agent that answers the number."""

import pytest

from ring import CannotRing, ring
from tests.support.waiting import until
from tests.support.whole_calls import System

pytestmark = pytest.mark.asyncio(loop_scope="package")

NUMBER, CALLER = "+15550140", "+15550141"


async def test_a_mapped_number_rings_and_its_agent_says_its_own_greeting(system: System) -> None:
    greeting = "Luigi's Pizza, what would you like to order?"
    await system.api.put("/api/agents/pizza", json={"greeting": greeting, "instructions": CALLER})
    await system.api.put(f"/api/numbers/{NUMBER}", json={"agent": "pizza"})
    assert await ring(str(system.api.base_url), NUMBER, CALLER) == "pizza"
    phone = system.phone(CALLER)
    await phone.ended.wait()
    call_id = await until(lambda: ended_call_from(system, CALLER))
    record = await system.ended(call_id)
    assert record["direction"] == "inbound"
    assert record["turns"][0]["text"] == greeting


async def ended_call_from(system: System, number: str) -> str:
    """Return its id, or nothing while none has ended."""
    listed = await system.api.get("/api/ai-calls/status", params={"ended": True})
    calls = [each["call_id"] for each in listed.json()["calls"] if each["from"] == number]
    return calls[0] if calls else ""


async def test_a_number_without_an_agent_is_refused_with_the_request_that_maps_it(
    system: System,
) -> None:
    await system.api.delete("/api/agents/default")  # another test may have created it
    with pytest.raises(CannotRing, match=r"curl -X PUT .*/api/numbers/\+15550142"):
        await ring(str(system.api.base_url), "+15550142", CALLER)
