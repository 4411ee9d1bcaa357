import json
from dataclasses import replace
from typing import Any

import pytest

from simulators.audio.speech import CLIPS
from simulators.scenario import SCENARIOS, ToolCall
from tests.support.realtime_caller import Caller, in_session

ORDER = 'Luigi\'s Pizza: what would you like? Say: margherita, or "the usual".'
QUOTES = '"Open" means "come in"'
EXACTLY = "You are a cook. Say: yes.\n\nSay exactly this now, and nothing else: "


async def text_of_response(caller: Caller, instructions: str) -> Any:
    await caller.send(type="response.create", response={"instructions": instructions})
    done = await caller.until("response.done")
    assert len(caller.audio(done["response"]["id"])) > 8000
    return done["response"]["output"][0]["content"][0]["transcript"]


@pytest.mark.parametrize("scenario", ["short", "echo"])
async def test_the_text_it_is_given_is_spoken_word_for_word(scenario: str) -> None:
    async with in_session(scenario=SCENARIOS[scenario]) as caller:
        assert await text_of_response(caller, EXACTLY + ORDER) == ORDER
        assert await text_of_response(caller, f'Say: "{ORDER}"') == ORDER
        assert await text_of_response(caller, f"Say: {ORDER}") == ORDER
        assert await text_of_response(caller, EXACTLY + QUOTES) == QUOTES


async def test_words_that_the_session_quotes_are_not_said_for_a_response() -> None:
    async with in_session(scenario=SCENARIOS["echo"]) as caller:
        session = "At the end, say: thank you. Say: hello to children."
        await caller.update(type="realtime", instructions=session)
        asked = await text_of_response(caller, f"{session}\n\nAsk for the name.")
        assert asked == "I am asked: Ask for the name."


async def test_a_text_of_a_recorded_clip_is_said_by_the_clip() -> None:
    async with in_session() as caller:
        line = CLIPS["agent_farewell"].text
        await caller.send(type="response.create", response={"instructions": f'Say: "{line}"'})
        done = await caller.until("response.done")
        assert caller.heard(done["response"]["id"]).clip is CLIPS["agent_farewell"]


async def test_the_voice_and_the_language_are_heard() -> None:
    english = {"instructions": EXACTLY + ORDER}
    german = {"instructions": f'Say exactly this in the language "de", and nothing else: {ORDER}'}
    cedar = english | {"audio": {"output": {"voice": "cedar"}}}
    sounds = []
    async with in_session() as caller:
        for request in (english, german, cedar):
            await caller.send(type="response.create", response=request)
            done = await caller.until("response.done")
            sounds.append(caller.audio(done["response"]["id"]))
    assert len(set(sounds)) == 3


async def test_a_tool_is_called_and_its_answer_spoken() -> None:
    async with in_session(scenario=SCENARIOS["tools"]) as caller:
        await caller.update(type="realtime", tools=[{"type": "function", "name": "opening_hours"}])
        await caller.say("caller_opening_hours")
        call = await caller.until("response.function_call_arguments.done")
        assert (call["name"], json.loads(call["arguments"])) == ("opening_hours", {"day": "today"})
        done = await caller.until("response.done")
        preamble, function_call = done["response"]["output"]
        assert preamble["content"][0]["transcript"] == CLIPS["agent_one_moment"].text
        assert function_call["call_id"] == call["call_id"]
        await caller.send(
            type="conversation.item.create",
            item={"type": "function_call_output", "call_id": call["call_id"], "output": "18:00"},
        )
        await caller.until("conversation.item.done")
        await caller.connection.response.create()
        answer = await caller.until("response.done")
        assert caller.heard(answer["response"]["id"]).clip is CLIPS["agent_opening_hours"]


ASKS_TWICE = replace(
    SCENARIOS["tools"],
    tool_calls={
        "caller_opening_hours": (
            ToolCall("opening_hours", '{"day":'),
            ToolCall("weather", "{}"),
            ToolCall("sing", "{}", invented=True),
        )
    },
)


async def test_several_calls_of_one_response_and_an_answer_that_the_output_tells() -> None:
    async with in_session(scenario=ASKS_TWICE) as caller:
        await caller.update(type="realtime", tools=[{"type": "function", "name": "opening_hours"}])
        await caller.say("caller_opening_hours")
        done = await caller.until("response.done")
        broken, invented = done["response"]["output"]
        assert (broken["name"], broken["arguments"]) == ("opening_hours", '{"day":')
        assert invented["name"] == "sing"
        for call in (broken, invented):
            output = CLIPS["agent_booked"].text
            item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
            await caller.send(type="conversation.item.create", item=item)
        await caller.connection.response.create()
        answer = await caller.until("response.done")
        assert caller.heard(answer["response"]["id"]).clip is CLIPS["agent_booked"]


async def test_an_output_belongs_to_a_call_of_the_conversation() -> None:
    async with in_session(scenario=SCENARIOS["tools"]) as caller:
        item = {"type": "function_call_output", "call_id": "call_1", "output": "18:00"}
        error = await caller.refused(type="conversation.item.create", item=item)
        assert error["code"] == "invalid_tool_call_id"


async def test_without_the_tool_it_just_answers() -> None:
    async with in_session(scenario=SCENARIOS["tools"]) as caller:
        await caller.say("caller_opening_hours")
        done = await caller.until("response.done")
        assert [item["type"] for item in done["response"]["output"]] == ["message"]
