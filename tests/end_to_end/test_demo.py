"""`make demo`, as its reader sees it."""

import json
import wave

from aws.template import TEMPLATE
from tests.support.processes import output_of, python

DEMO = str(TEMPLATE.parent / "local" / "demo.py")
FIELDS = {
    "call_id",
    "outcome",
    "turns",
    "interruptions",
    "first_audio_ms",
    "turn_latency_ms",
    "frames_in",
    "frames_out",
}


async def test_a_caller_who_loses_the_model_is_served_to_the_end() -> None:
    async with python(DEMO, "--scenario", "lost-model", "--json", environ={}) as process:
        printed = (await output_of(process)).splitlines()
    assert process.returncode == 0, printed
    assert any("model lost" in line for line in printed)
    result = json.loads(printed[-1])
    assert result["outcome"] == "completed"
    assert len(result["turns"]) == 12
    assert all(turn["match"] > 0.95 for turn in result["turns"])


async def test_a_caller_whose_container_is_killed_goes_on_with_another_one() -> None:
    async with python(DEMO, "--scenario", "lost-task", "--json", environ={}) as process:
        printed = (await output_of(process)).splitlines()
    assert process.returncode == 0, printed
    assert any("killed" in line for line in printed)
    assert json.loads(printed[-1])["outcome"] == "completed"


async def test_one_whole_call_is_shown_and_told_as_json() -> None:
    async with python(DEMO, "--json", environ={}) as process:
        printed = (await output_of(process)).splitlines()
    assert process.returncode == 0, printed
    with wave.open(str(TEMPLATE.parent / ".build" / "demo.wav")) as sound:
        assert sound.getnchannels() == 2
        assert sound.getnframes() / sound.getframerate() > 20
    shown, result = printed[:-1], json.loads(printed[-1])
    assert set(result) == FIELDS
    assert result["outcome"] == "completed"
    assert result["interruptions"] == 1
    assert len(result["turns"]) == 11
    for turn in result["turns"]:
        assert set(turn) == {"who", "text", "match", "snr_db"}
        assert turn["match"] > 0.95
    for event in (
        "call.answered",
        "streaming",
        "agent said",
        "caller said",
        "interrupted",
        "ended",
        ".build/demo.wav",
    ):
        assert any(event in line for line in shown)
