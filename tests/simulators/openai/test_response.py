import base64

import pytest

from simulators.audio.speech import CLIPS
from simulators.openai.faults import ModelFaults
from tests.support.realtime_caller import in_session


async def test_a_turn_comes_in_the_documented_order() -> None:
    async with in_session() as caller:
        await caller.say("caller_book")
        await caller.until("rate_limits.updated")
        repeated = ("response.output_audio.delta", "response.output_audio_transcript.delta")
        turn = [
            kind
            for kind in caller.types()[2:]
            if kind not in repeated and "transcription" not in kind
        ]
        assert turn == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
        started, stopped, committed, added = caller.frames[2:6]
        assert started["audio_start_ms"] == 0
        assert stopped["audio_end_ms"] == pytest.approx(1962 + 500, abs=100)
        assert started["item_id"] == committed["item_id"] == added["item"]["id"]


async def test_deltas_are_odd_and_carry_words_along() -> None:
    async with in_session() as caller:
        await caller.connection.response.create()
        await caller.until("response.done")
        sizes = [
            len(base64.b64decode(frame["delta"]))
            for frame in caller.frames
            if frame["type"] == "response.output_audio.delta"
        ]
        assert len(set(sizes)) > 3
        assert any(size % 160 for size in sizes)
        kinds = [kind for kind in caller.types() if kind.endswith(".delta")]
        assert "response.output_audio.delta" in kinds[:2]
        assert kinds.index("response.output_audio_transcript.delta") < len(kinds) // 2
        words = "".join(
            frame["delta"]
            for frame in caller.frames
            if frame["type"] == "response.output_audio_transcript.delta"
        )
        assert words == CLIPS["agent_greeting"].text


async def test_a_token_limit_cuts_the_sound() -> None:
    async with in_session() as caller:
        await caller.send(type="response.create", response={"max_output_tokens": 20})
        done = await caller.until("response.done")
        assert done["response"]["status_details"]["reason"] == "max_output_tokens"
        assert len(caller.audio(done["response"]["id"])) == pytest.approx(20 * 50 * 8, abs=1300)


async def test_fault_multi_item_responses() -> None:
    async with in_session(faults=ModelFaults(multi_item_responses=True)) as caller:
        await caller.connection.response.create()
        await caller.until("response.output_item.done")
        await caller.until("response.output_item.done")
        items = [f["item"] for f in caller.frames if f["type"] == "response.output_item.done"]
        assert [item["phase"] for item in items] == ["commentary", "final_answer"]
        assert items[0]["id"] != items[1]["id"]
        first_ended = caller.types().index("response.output_audio.done")
        before = caller.frames[:first_ended]
        assert items[1]["id"] in {frame.get("item_id") for frame in before}


async def test_fault_content_filter() -> None:
    async with in_session(faults=ModelFaults(content_filter=True)) as caller:
        await caller.connection.response.create()
        done = await caller.until("response.done")
        assert done["response"]["status_details"]["reason"] == "content_filter"
        heard = caller.heard(done["response"]["id"])
        assert heard.clip is CLIPS["agent_greeting"]
        assert heard.matched_ms < 0.6 * CLIPS["agent_greeting"].duration_ms


async def test_usage_grows_and_is_partly_cached() -> None:
    async with in_session() as caller:
        usages = []
        for clip in ("caller_book", "caller_thursday", "caller_what_to_bring"):
            await caller.say(clip)
            usages.append((await caller.until("response.done"))["response"]["usage"])
        inputs = [usage["input_tokens"] for usage in usages]
        assert inputs == sorted(set(inputs))
        assert usages[0]["input_token_details"]["cached_tokens"] == 0
        details = usages[2]["input_token_details"]
        assert 0 < details["cached_tokens"] < usages[2]["input_tokens"]
        expected = CLIPS["agent_free_times"].duration_ms / 50
        assert usages[1]["output_token_details"]["audio_tokens"] == pytest.approx(expected, abs=1)
