"""The examples against the local stack."""

import os
from pathlib import Path

import httpx
import pytest

from phonebridge.http.signature import derive_secret
from tests.support.processes import output_of, python
from tests.support.waiting import until
from tests.support.whole_calls import EXAMPLE_PORT, System

pytestmark = pytest.mark.asyncio(loop_scope="package")

BOOKING_AGENT = str(Path(__file__).resolve().parents[2] / "docs/examples/booking_agent.py")
NUMBER = "+15550146"


async def test_the_booking_agent_books_a_time_and_hears_how_the_call_ended(system: System) -> None:
    environ = {
        "PHONEBRIDGE_URL": str(system.api.base_url),
        "PUBLIC_URL": f"http://127.0.0.1:{EXAMPLE_PORT}",
        "PORT": str(EXAMPLE_PORT),
        "OUTCOME_WEBHOOK_SECRET": derive_secret(os.environ["STREAM_TOKEN_SECRET"], "outcomes"),
    }
    async with python(BOOKING_AGENT, NUMBER, environ=environ) as process:
        await until(lambda: system.phones(NUMBER))
        forged = await post_outcome_unsigned(environ["PUBLIC_URL"])
        printed = await output_of(process)
    assert process.returncode == 0, printed
    assert forged == 401
    lines = printed.splitlines()
    assert "booked: 2030-01-31 09:00 Ann" in lines
    assert "call ended: completed callee_hung_up" in lines


async def post_outcome_unsigned(url: str) -> int:
    event = {"event_id": "forged", "call": {"outcome": "completed", "reason": "forged"}}
    async with httpx.AsyncClient(trust_env=False) as stranger:
        return (await stranger.post(f"{url}/outcome", json=event)).status_code
