import numpy as np
import pytest

from simulators.audio.speech import CLIPS
from simulators.openai.faults import ModelFaults
from tests.support.realtime_caller import (
    both_sides,
    calling,
    in_session,
    session_settings,
    simulated,
)


async def test_noise_is_transcribed_as_unintelligible_and_asked_about() -> None:
    async with both_sides() as (caller, session):
        noise = np.random.default_rng(3).normal(0, 3000, 12_000).astype(np.int16)
        await caller.append(np.concatenate((noise, np.zeros(6_000, np.int16))))
        done = await caller.until("response.done")
        assert caller.heard(done["response"]["id"]).clip is CLIPS["agent_fallback"]
        assert [heard.clip for heard in session.recognitions] == [None]


async def test_without_turn_detection_the_client_commits_and_asks() -> None:
    async with simulated() as simulator, calling(simulator) as caller:
        settings = session_settings()
        settings["audio"]["input"]["turn_detection"] = None
        await caller.update(**settings)
        error = await caller.refused(type="input_audio_buffer.commit")
        assert error["code"] == "input_audio_buffer_commit_empty"
        await caller.say("caller_book")
        await caller.send(type="input_audio_buffer.clear")
        await caller.until("input_audio_buffer.cleared")
        await caller.say("caller_what_to_bring")
        await caller.connection.input_audio_buffer.commit()
        await caller.until("conversation.item.done")
        await caller.connection.response.create()
        done = await caller.until("response.done")
        assert caller.heard(done["response"]["id"]).clip is CLIPS["agent_what_to_bring"]
        assert "input_audio_buffer.speech_started" not in caller.types()


async def test_an_idle_caller_is_asked_after_the_playback_has_ended() -> None:
    async with simulated() as simulator, calling(simulator) as caller:
        await caller.update(**session_settings(idle_timeout_ms=5000))
        await caller.connection.response.create()
        await caller.until("response.done")
        played_ms = len(caller.audio(caller.frames[-1]["response"]["id"])) / 8
        silence = np.zeros(8 * 4900, np.int16)
        await caller.append(silence)
        await caller.append(silence)
        triggered = await caller.until("input_audio_buffer.timeout_triggered")
        assert triggered["audio_start_ms"] == pytest.approx(played_ms, abs=100)
        committed = await caller.until("input_audio_buffer.committed")
        assert committed["item_id"] == triggered["item_id"]
        await caller.until("response.done")


async def test_fault_late_transcription() -> None:
    async with in_session(faults=ModelFaults(late_transcription=True)) as caller:
        await caller.say("caller_book")
        await caller.until("response.done")
        assert not any("transcription" in kind for kind in caller.types())
        late = await caller.until("conversation.item.input_audio_transcription.completed")
        assert late["transcript"] == CLIPS["caller_book"].text


async def test_fault_transcription_failed() -> None:
    async with in_session(faults=ModelFaults(transcription_failed=True)) as caller:
        await caller.say("caller_book")
        failed = await caller.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == "transcription_failed"
        await caller.until("response.done")
