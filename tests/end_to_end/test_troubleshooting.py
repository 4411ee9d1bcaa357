"""Each problem of docs/troubleshooting.md, provoked: what the page tells to look at is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.services import control_plane
from simulators.openai.faults import NO_FAULTS, ModelFaults
from tests.support.waiting import until
from tests.support.whole_calls import System

pytestmark = pytest.mark.asyncio(loop_scope="package")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
STREAM_REFUSED, LOSSY, HEALTHY, SILENT_MODEL = "+15550106", "+15550117", "+15550147", "+15550148"


async def test_the_page_gives_cause_check_and_fix_of_every_problem() -> None:
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    names = [section.partition("\n")[0] for section in sections]
    assert names == [
        "OpenAI API key not configured",
        "streaming_start FAILED",
        "Poor audio quality",
        "No audio from the AI",
    ]
    for section in sections:
        assert re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE) == ["Cause", "Check", "Fix"]


@pytest.fixture
def without_openai_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handlers of the system run in this process and read its environment."""
    with monkeypatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "")
        control_plane.cache_clear()
        yield
    control_plane.cache_clear()


@pytest.mark.usefixtures("without_openai_key")
async def test_openai_api_key_not_configured(system: System) -> None:
    answer = await system.create(HEALTHY)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "OpenAI API key not configured"
    assert not system.phones(HEALTHY), "nothing was dialled"


async def _refusal(system: System, call_id: str) -> dict[str, Any] | None:
    timeline = (await system.record(call_id))["timeline"]
    return next((each for each in timeline if each["what"] == "streaming_start FAILED"), None)


async def test_streaming_start_failed(system: System) -> None:
    call_id = await system.dialled(STREAM_REFUSED)
    record = await system.ended(call_id)
    assert (record["outcome"], record["reason"]) == ("failed", "streaming_start_failed")
    # The call ends first, and the timeline tells of the refusal afterwards.
    refusal = await until(lambda: _refusal(system, call_id))
    assert refusal
    assert "422" in refusal["detail"]
    logged = [line for line in system.log_lines() if line["message"] == "streaming_start FAILED"]
    assert call_id in [line["call_id"] for line in logged]


async def test_poor_audio_quality(system: System) -> None:
    """Lost frames are counted. Those of a healthy line are none."""
    call_ids = [await system.dialled(number) for number in (LOSSY, HEALTHY)]
    lossy, healthy = [await system.ended(each) for each in call_ids]
    assert lossy["activity"]["frames_lost"] > 0
    assert healthy["activity"]["frames_lost"] == 0


async def test_no_audio_from_the_ai(system: System) -> None:
    """No call has this voice but this one, so no filler or apology is recorded in it."""
    system.model.faults = ModelFaults(silent_responses=True)
    try:
        record = await system.ended(await system.dialled(SILENT_MODEL, voice="sage"))
    finally:
        system.model.faults = NO_FAULTS
    assert (record["outcome"], record["reason"]) == ("failed", "model_silent")
    assert record["activity"]["first_audio_ms"] is None
    assert "no reply" in [each["what"] for each in record["timeline"]]
