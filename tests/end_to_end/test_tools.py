"""A call in which the model uses its tools, and hangs up after its goodbye."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from phonebridge.http.signature import sign
from simulators.audio.speech import CLIPS
from simulators.scenario import CallerLine, ToolCall
from tests.support.realtime_oracle import check_client
from tests.support.tool_servers import ToolServer, answer, tool_server
from tests.support.whole_calls import (
    ONE_QUESTION,
    Record,
    System,
    response_requests,
    said,
    whole_system,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBER = "+15550123"
SECRET = "shared with the server"
SAID = "the caller's private matter"
STORY = replace(
    ONE_QUESTION,
    caller=(CallerLine("caller_what_to_bring"), CallerLine("caller_farewell")),
    tool_calls={
        "caller_what_to_bring": (
            ToolCall("look_up", f'{{"day":"Thursday","about":"{SAID}"}}'),
            ToolCall("weather", '{"city":'),
            ToolCall("sing", "{}", invented=True),
            ToolCall("take_message", '{"message":"Call me back.","name":"Ann"}'),
        ),
        "caller_farewell": (ToolCall("end_call", "{}", preamble="agent_farewell"),),
    },
)
FOUND = f'{{"say":"{CLIPS["agent_booked"].text}"}}'.encode()


@dataclass(frozen=True, slots=True)
class Story:
    system: System
    server: ToolServer
    record: Record

    @property
    def frames(self) -> list[dict[str, Any]]:
        return self.system.session(NUMBER).received


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    folder: Path = tmp_path_factory.mktemp("tools")
    async with tool_server(answer(200, FOUND), tls=False) as server:
        host = f"127.0.0.1:{server.port}"
        given = {"TOOL_HOSTS_ALLOWED": host, "TOOL_SIGNING_SECRET": SECRET}
        url = f"http://{host}/look-up"
        tools = [
            {"name": "look_up", "url": url},
            {"name": "weather", "url": url},
            "take_message",
            "end_call",
        ]
        async with whole_system(folder, given, STORY, hangs_up=False) as system:
            record = await system.ended(await system.dialled(NUMBER, tools=tools))
            yield Story(system, server, record)


async def test_the_caller_hears_what_the_tool_found(story: Story) -> None:
    heard = [each.clip for each in story.system.phone(NUMBER).conversation.recognitions]
    assert heard[:2] == [CLIPS["agent_opening_hours"], CLIPS["agent_booked"]]
    assert said(story.record) == [
        ("agent", CLIPS["agent_opening_hours"].text),
        ("caller", CLIPS["caller_what_to_bring"].text),
        ("agent", CLIPS["agent_booked"].text),
        ("caller", CLIPS["caller_farewell"].text),
        ("agent", CLIPS["agent_farewell"].text),
    ]


async def test_the_agent_hangs_up_and_its_goodbye_was_heard_whole(story: Story) -> None:
    assert (story.record["outcome"], story.record["reason"]) == ("completed", "ended_by_agent")
    assert not story.record["turns"][-1]["interrupted"]
    heard = story.system.phone(NUMBER).conversation.last_recognition
    assert heard.clip is CLIPS["agent_farewell"]
    assert heard.matched_ms >= 0.98 * CLIPS["agent_farewell"].duration_ms


async def test_the_server_was_asked_once_with_a_signed_request(story: Story) -> None:
    [received] = story.server.received
    call_id = received.json.pop("tool_call_id")
    assert received.json | {"tool_call_id": call_id} == {
        "call_id": story.record["call_id"],
        "tool": "look_up",
        "tool_call_id": call_id,
        "arguments": {"day": "Thursday", "about": SAID},
    }
    timestamp = int(received.headers["phonebridge-timestamp"])
    proof = sign(SECRET, received.body, timestamp * 1000)
    assert received.headers["phonebridge-signature"] == proof["Phonebridge-Signature"]


async def test_all_calls_of_a_response_are_answered_and_it_speaks_once(story: Story) -> None:
    outputs = [
        frame["item"]["output"]
        for frame in story.frames
        if frame["type"] == "conversation.item.create"
    ]
    assert len(outputs) == 5
    assert [each.startswith('{"error":') for each in outputs] == [True, True, False, False, False]
    assert len(response_requests(story.frames)) == 2, (
        "the greeting, and the answer to the first question"
    )


async def test_the_record_tells_which_tools_were_used_and_how_it_went(story: Story) -> None:
    notes = [each["detail"] for each in story.record["timeline"] if each["what"] == "tool"]
    outcomes = {note.partition(": ")[0]: note.partition(": ")[2] for note in notes}
    assert outcomes.pop("look_up").startswith("ok after ")
    assert outcomes == {
        "weather": "refused",
        "sing": "refused",
        "take_message": "ok",
        "end_call": "ok",
    }
    [message] = story.record["messages"]
    assert (message["text"], message["name"]) == ("Call me back.", "Ann")


async def test_every_frame_is_one_of_the_official_client(story: Story) -> None:
    for frame in story.frames:
        check_client(frame)
    assert not story.system.session(NUMBER).errors


async def test_the_logs_tell_of_tools_and_not_what_they_were_told(story: Story) -> None:
    returned = [line for line in story.system.log_lines() if line["message"] == "tool returned"]
    assert [(line["tool"], line["ok"]) for line in returned] == [("look_up", True)]
    for path in story.system.logs:
        text = path.read_text()
        assert SAID not in text
        assert "Call me back" not in text
