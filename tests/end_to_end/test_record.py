"""What is left of a call when it is over: what it cost, and how it sounded."""

import io

import httpx
import numpy as np
import pytest
import soundfile

from simulators.audio.speech import CLIPS, recognise
from tests.support.waiting import TIMEOUT_SECONDS, until
from tests.support.whole_calls import System

pytestmark = pytest.mark.asyncio(loop_scope="package")

RECORDED = "+15550131"


async def test_a_recorded_call_is_kept_and_its_cost_told(system: System) -> None:
    wanted = {"to": RECORDED, "instructions": RECORDED, "record": True}
    created = await system.api.post("/api/ai-calls/create", json=wanted)
    call_id = created.raise_for_status().json()["call_id"]
    await system.ended(call_id)

    async def is_kept() -> bool:
        recordings = (await system.record(call_id))["recordings"]
        return [each["state"] for each in recordings] == ["kept"]

    await until(is_kept)
    record = await system.record(call_id)
    [recording] = record["recordings"]
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
        copy = await client.get(recording["url"])
    assert copy.status_code == 200
    assert len(copy.content) == recording["size_bytes"] > 0
    assert recording["duration_seconds"] > 0
    sound, _ = soundfile.read(io.BytesIO(copy.content), dtype="int16")
    assert recognise(sound[:, 0].astype(np.int16)).clip is CLIPS["caller_what_to_bring"]
    assert recognise(sound[:, 1].astype(np.int16)).text.startswith(("We are open", "Just your"))

    assert record["usage"]["responses"] == len([t for t in record["turns"] if t["who"] == "agent"])
    cost = record["cost"]
    assert cost["model"] > 0
    assert cost["transcription"] > 0
    assert cost["total"] == pytest.approx(cost["model"] + cost["transcription"])
