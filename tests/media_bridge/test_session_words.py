"""What is said is on record, whatever the model sends and whenever, through real sockets."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from media_bridge.conversation import last_words
from phonebridge.call.turn import Speaker
from phonebridge.storage.call_store import CallRecord
from simulators.audio.g711 import MU_LAW
from simulators.audio.speech import CLIPS
from simulators.openai.faults import ModelFaults
from tests.support.media_phone import Phone
from tests.support.media_plane import StartsPlane
from tests.support.scripted_model import SOUND, ScriptedModel, scripted_model
from tests.support.waiting import TIMEOUT_SECONDS, until

HEARTFELT = "caller_opening_hours"
TRANSCRIPTION = "conversation.item.input_audio_transcription"


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with scripted_model() as model:
        yield model


@pytest.fixture
def awaits_transcripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits for the last transcripts for as long as they take on a busy machine."""
    monkeypatch.setattr(last_words, "TRANSCRIPT_TIMEOUT_SECONDS", TIMEOUT_SECONDS)


def words_of(record: CallRecord, who: Speaker) -> list[tuple[str, bool]]:
    return [(turn.text, turn.partial) for turn in record.turns if turn.who is who]


async def caller_has_spoken(model: ScriptedModel) -> None:
    await model.asked("response.create")
    await model.send("input_audio_buffer.speech_started", item_id="user-1", audio_start_ms=0)
    await model.send("input_audio_buffer.speech_stopped", item_id="user-1", audio_end_ms=900)
    await model.send("input_audio_buffer.committed", item_id="user-1", previous_item_id=None)


@pytest.mark.usefixtures("awaits_transcripts")
async def test_a_transcript_that_comes_after_the_caller_hung_up_is_on_record(
    start_plane: StartsPlane, model: ScriptedModel
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await caller_has_spoken(model)
        await phone.stop()
        assert await phone.closed() == 1000, "the leg ends at once"
        assert not model.is_closed.is_set()
        await model.send(f"{TRANSCRIPTION}.completed", item_id="user-1", transcript="Goodbye.")
        await model.closed()
    assert words_of(plane.record(phone.call), Speaker.CALLER) == [("Goodbye.", False)]


@pytest.mark.usefixtures("awaits_transcripts")
async def test_a_failed_call_is_hung_up_before_the_last_transcript_comes(
    start_plane: StartsPlane, model: ScriptedModel
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await caller_has_spoken(model)
        await model.send("error", error={"code": "insufficient_quota", "message": "No means."})
        assert await plane.failed(phone.call) == "model_failed"
        assert not model.is_closed.is_set()
        await model.send(f"{TRANSCRIPTION}.completed", item_id="user-1", transcript="Hello?")
        await model.closed()
    assert words_of(plane.record(phone.call), Speaker.CALLER) == [("Hello?", False)]


async def test_a_call_whose_media_has_ended_may_be_streamed_anew_while_words_are_awaited(
    start_plane: StartsPlane, model: ScriptedModel
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await caller_has_spoken(model)
        assert plane.task.carries(phone.call.call_id)
        await phone.stop()
        await phone.closed()
        assert not plane.task.carries(phone.call.call_id)


async def test_a_transcript_that_never_comes_does_not_keep_the_call_for_long(
    start_plane: StartsPlane, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_words, "TRANSCRIPT_TIMEOUT_SECONDS", 0.1)
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await caller_has_spoken(model)
        await model.send(f"{TRANSCRIPTION}.delta", item_id="user-1", delta="I would li")
        await model.send("response.created", response={"id": "resp-1"})
        await model.send("response.output_audio.delta", response_id="resp-1", delta=SOUND)
        await hear_frames(phone, 1)
        await phone.stop()
        await model.closed()
    assert words_of(plane.record(phone.call), Speaker.CALLER) == [("I would li", True)]


@pytest.mark.usefixtures("awaits_transcripts")
async def test_a_caller_who_hangs_up_in_the_middle_of_a_sentence_is_transcribed(
    start_plane: StartsPlane,
) -> None:
    """No silence follows by which the model's detector could see the end of the turn."""
    async with start_plane() as plane:
        phone = await plane.greeted()
        session = await plane.session(phone.call)
        for frame in phone.frames(MU_LAW.encode(CLIPS[HEARTFELT].samples)):
            await phone.send(frame)
        await phone.stop()
        await until(lambda: session.recognitions)
    caller = words_of(plane.record(phone.call), Speaker.CALLER)
    assert caller == [(CLIPS[HEARTFELT].text, False)]


@pytest.mark.usefixtures("awaits_transcripts")
async def test_words_of_a_late_transcription_are_on_record(start_plane: StartsPlane) -> None:
    async with start_plane(ModelFaults(late_transcription=True)) as plane:
        phone = await plane.greeted()
        await plane.converse(phone)
        await phone.stop()
    assert words_of(plane.record(phone.call), Speaker.CALLER) == [(CLIPS[HEARTFELT].text, False)]


STRANGE: list[dict[str, Any]] = [
    {"content_index": None},
    {"response_id": None, "item_id": None, "output_index": "first"},
    {"content_index": "0", "obfuscation": "\ud83d"},
]


@pytest.mark.parametrize("strange", STRANGE)
async def test_a_sentence_whose_events_are_strange_is_heard_and_on_record(
    start_plane: StartsPlane,
    model: ScriptedModel,
    strange: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await model.asked("response.create")
        await model.send("response.created", response={"id": "resp-1"})
        part = {"response_id": "resp-1", "item_id": "item-1"} | strange
        for _ in range(2):
            await model.send("response.output_audio.delta", **part, delta=SOUND)
        await model.send("response.output_audio_transcript.delta", **part, delta="Good morning.")
        await model.send("response.done", response={"id": "resp-1", "status": "completed"})
        await hear_frames(phone, 2)
        await until(lambda: plane.record(phone.call).turns)
        await phone.stop()
        await model.closed()
    assert words_of(plane.record(phone.call), Speaker.AGENT) == [("Good morning.", False)]
    repaired = [line for line in log_lines(capsys) if line.get("message") == "model event repaired"]
    assert sorted(line["event_type"] for line in repaired) == [
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
    ]


async def test_an_event_of_no_use_is_told_once_and_the_call_goes_on(
    start_plane: StartsPlane, model: ScriptedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await model.asked("response.create")
        await model.send("response.created", response={"id": "resp-1"})
        for _ in range(3):
            await model.send("response.output_audio.delta", response_id="resp-1", delta=None)
        await model.send("response.output_audio.delta", response_id="resp-1", delta=SOUND)
        await hear_frames(phone, 1)
        await phone.stop()
        await model.closed()
    timeline = [entry.what for entry in plane.record(phone.call).timeline]
    assert timeline.count("malformed model event") == 1
    told = [line for line in log_lines(capsys) if line.get("message") == "malformed model event"]
    assert len(told) == 1
    assert "response.output_audio.delta" in told[0]["detail"]


async def test_settings_that_change_by_themselves_end_no_call(
    start_plane: StartsPlane, model: ScriptedModel
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await model.asked("response.create")
        for _ in range(2):
            await model.send("session.updated", session={"instructions": "Be rude."})
        await model.send("response.created", response={"id": "resp-1"})
        await model.send("response.output_audio.delta", response_id="resp-1", delta=SOUND)
        await hear_frames(phone, 1)
        await phone.stop()
        await model.closed()
    record = plane.record(phone.call)
    assert record.call.fault is None
    assert [entry.detail for entry in record.timeline if entry.what == "model settings differ"] == [
        "session.updated differs in instructions"
    ]


async def hear_frames(phone: Phone, frames: int) -> None:
    for _ in range(frames):
        await phone.hear()


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]
