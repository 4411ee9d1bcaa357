import json
from typing import Any

import numpy as np
import pytest

from simulators.audio.speech import CLIPS, Samples
from simulators.audio.voice import Voice, synthesize
from simulators.openai.echo import HEARD_NOTHING, INTRODUCTION, UNKNOWN_WORDS
from simulators.scenario import ECHO
from tests.support.realtime_caller import PCM, PCMU, Caller, in_session, session_settings
from tests.support.realtime_oracle import Frame

HOURS: Frame = {
    "type": "function",
    "name": "opening_hours",
    "parameters": {
        "type": "object",
        "properties": {"day": {"type": "string", "enum": ["today", "tomorrow"]}},
        "required": ["day"],
    },
}
END_CALL: Frame = {"type": "function", "name": "end_call"}


def text_of(done: Frame) -> Any:
    return done["response"]["output"][0]["content"][0]["transcript"]


def calls_of(done: Frame) -> list[Any]:
    output = done["response"]["output"]
    return [(each["name"], each["arguments"]) for each in output if each["type"] == "function_call"]


async def answer_a_turn(caller: Caller) -> Frame:
    await caller.say("caller_book")
    return await caller.until("response.done")


async def respond(caller: Caller, **response: Any) -> Frame:
    await caller.send(type="response.create", response=response)
    return await caller.until("response.done")


@pytest.mark.parametrize("audio_format", [PCMU, PCM], ids=["pcmu", "pcm"])
async def test_it_repeats_the_callers_own_voice(audio_format: Frame) -> None:
    async with in_session(audio_format, scenario=ECHO) as caller:
        done = await answer_a_turn(caller)
        assert text_of(done) == f"You said: {CLIPS['caller_book'].text}"
        recognised = caller.heard(done["response"]["id"])
        assert recognised.clip is CLIPS["caller_book"]
        assert recognised.started_ms > 500


def unknown_voice() -> Samples:
    spoken = synthesize("The weather is lovely today", Voice("m4"))
    return spoken.samples[:: spoken.rate_hz // 8000]


async def test_words_that_it_does_not_know_are_repeated_and_not_invented() -> None:
    async with in_session(scenario=ECHO) as caller:
        await caller.append(np.concatenate((unknown_voice(), np.zeros(6000, np.int16))))
        done = await caller.until("response.done")
        assert text_of(done) == f"You said: {UNKNOWN_WORDS}"


async def test_without_a_greeting_it_says_what_it_is() -> None:
    async with in_session(scenario=ECHO) as caller:
        assert text_of(await respond(caller)) == INTRODUCTION


async def test_text_and_guidance_are_read_aloud() -> None:
    async with in_session(scenario=ECHO) as caller:
        await caller.update(type="realtime", instructions="You answer for a shop.")
        guidance = "Ask briefly whether they are still there."
        done = await respond(caller, instructions=f"You answer for a shop.\n\n{guidance}")
        assert text_of(done) == f"I am asked: {guidance}"
        text = "The caller pressed 1 on the keypad."
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await caller.send(type="conversation.item.create", item=item)
        assert text_of(await respond(caller)) == f"I received this text: {text}"


async def test_silence_is_not_taken_for_words() -> None:
    async with in_session(scenario=ECHO) as caller:
        settings = session_settings(idle_timeout_ms=5000)
        await caller.update(**settings)
        await respond(caller)
        await caller.append(np.zeros(30 * 8000, np.int16))
        assert text_of(await caller.until("response.done")) == HEARD_NOTHING


async def test_each_declared_tool_is_called_once_and_its_output_read_aloud() -> None:
    async with in_session(scenario=ECHO) as caller:
        await caller.update(type="realtime", tools=[END_CALL, HOURS])
        assert calls_of(await respond(caller)) == []
        [(name, arguments)] = calls_of(done := await answer_a_turn(caller))
        assert (name, json.loads(arguments)) == ("opening_hours", {"day": "today"})
        call_id = done["response"]["output"][-1]["call_id"]
        item = {"type": "function_call_output", "call_id": call_id, "output": "until six"}
        await caller.send(type="conversation.item.create", item=item)
        assert text_of(await respond(caller)) == "opening_hours answered: until six"
        assert calls_of(await answer_a_turn(caller)) == [("end_call", "{}")]
        assert calls_of(await answer_a_turn(caller)) == []


async def test_no_tool_is_called_where_none_may_be() -> None:
    async with in_session(scenario=ECHO) as caller:
        turn_detection = session_settings(create_response=False)
        await caller.update(**turn_detection, tools=[HOURS])
        await caller.say("caller_book")
        await caller.until("conversation.item.input_audio_transcription.completed")
        assert calls_of(await respond(caller, tool_choice="none")) == []
        assert len(calls_of(await respond(caller))) == 1
