"""Tools on the wire: declared, called, answered."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from media_bridge import commands, events, tool_events
from media_bridge.audio.codecs import Codec
from media_bridge.openai.protocol import RealtimeProtocol
from phonebridge.call.config import CallConfig
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, McpServer, Tools
from tests.support.media_plane import settings
from tests.support.realtime_oracle import check_client

Frame = dict[str, Any]

SCHEMA = '{"type":"object","properties":{"number":{"type":"string"}}}'
EVERYTHING = Tools(
    functions=(
        HttpsFunction(
            name="order",
            url="https://example.com/",
            description="Look up an order.",
            parameters=SCHEMA,
            headers={"Authorization": "Bearer abc"},
            secret="the secret",
        ),
    ),
    mcp_servers=(
        McpServer(
            label="calendar",
            url="https://mcp.example.com/",
            authorization="token",
            headers={"X-Team": "a"},
            allowed_tools=("find",),
        ),
        McpServer(label="docs", url="https://docs.example.com/"),
    ),
    built_in=tuple(BuiltIn),
    destinations=(Destination("sales", "+15550101"), Destination("support", "+15550102", True)),
)


def protocol(tools: Tools = EVERYTHING) -> RealtimeProtocol:
    return RealtimeProtocol(CallConfig(tools=tools), settings(), "gpt-realtime-2.1-mini")


def frame_of(command: Any, tools: Tools = EVERYTHING) -> Frame:
    frame: Frame = json.loads(protocol(tools).encode(command))
    check_client(frame)
    return frame


def declarations(tools: Tools = EVERYTHING) -> list[Frame]:
    frames: list[Frame] = frame_of(commands.ConfigureModel(Codec.PCMU), tools)["session"]["tools"]
    return frames


def event_of(kind: str, **fields: Any) -> events.ModelEvent | None:
    return protocol().decode(json.dumps({"type": kind, "event_id": "event_1", **fields}))


def end_of_response(*output: Any) -> events.ResponseEnded:
    response = {"id": "resp_1", "status": "completed", "output": output}
    event = event_of("response.done", response=response)
    assert isinstance(event, events.ResponseEnded)
    return event


def item(kind: str, **fields: Any) -> Frame:
    return {"id": "item_1", "type": kind, "status": "completed"} | fields


CALL = item("function_call", call_id="call_1", name="order", arguments='{"number":"17"}')
CALLED = tool_events.FunctionCalled("resp_1", "call_1", "order", '{"number":"17"}')
ALIVE = events.ResponseProgressed("resp_1")
MCP_CALL = item("mcp_call", name="find", server_label="calendar", arguments="{}")
MCP_CALLED = tool_events.McpCalled("resp_1", "item_1", "find")
MCP_ERROR = {"type": "tool_execution_error", "message": "no such number"}


def test_functions_are_declared_flat_and_without_what_only_we_need() -> None:
    assert declarations()[0] == {
        "type": "function",
        "name": "order",
        "description": "Look up an order.",
        "parameters": json.loads(SCHEMA),
    }


def test_built_in_tools_look_like_any_other() -> None:
    names = [tool.get("name") for tool in declarations()]
    assert names == ["order", "end_call", "transfer_call", "send_dtmf", "take_message", None, None]


def test_the_model_is_told_names_to_transfer_to_and_no_numbers() -> None:
    [transfer] = [tool for tool in declarations() if tool.get("name") == "transfer_call"]
    assert transfer["parameters"]["properties"]["destination"]["enum"] == ["sales", "support"]
    assert "+1555" not in json.dumps(declarations())


def test_mcp_servers_are_declared_with_all_that_openai_needs_and_without_approval() -> None:
    assert declarations()[-2:] == [
        {
            "type": "mcp",
            "server_label": "calendar",
            "server_url": "https://mcp.example.com/",
            "authorization": "token",
            "headers": {"X-Team": "a"},
            "allowed_tools": ["find"],
            "require_approval": "never",
        },
        {
            "type": "mcp",
            "server_label": "docs",
            "server_url": "https://docs.example.com/",
            "require_approval": "never",
        },
    ]


def test_without_tools_the_list_is_empty() -> None:
    assert declarations(Tools()) == []


@pytest.mark.parametrize(
    ("echo", "agrees"),
    [
        (lambda tools: tools, True),
        (lambda tools: tools[::-1], True),
        (lambda tools: None, True),
        (lambda tools: [tool | {"headers": None, "strict": False} for tool in tools], True),
        (lambda tools: tools[1:], False),
        (lambda tools: [], False),
    ],
)
def test_a_session_without_all_tools_is_not_the_one_asked_for(echo: Any, agrees: bool) -> None:
    wire = protocol()
    session = json.loads(wire.encode(commands.ConfigureModel(Codec.PCMU)))["session"]
    session["tools"] = echo(session["tools"])
    got = wire.decode(json.dumps({"type": "session.updated", "session": session}))
    refused = events.ModelRefused("session.updated differs in tools")
    assert got == (events.ModelReady() if agrees else refused)


def test_an_output_is_a_text_of_any_content() -> None:
    assert frame_of(commands.SendToolOutput("call_1", '{"a":"é"}')) == {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call_1", "output": '{"a":"é"}'},
        "event_id": "output-call_1",
    }


@pytest.mark.parametrize(
    ("request_", "choice"),
    [
        (commands.CreateResponse(exact_text="One moment."), "none"),
        (commands.CreateResponse(instructions="Say goodbye.", allow_tools=False), "none"),
        (commands.CreateResponse(instructions="Ask whether anybody is there."), None),
        (commands.CreateResponse(), None),
    ],
)
def test_very_words_leave_no_room_for_calls(
    request_: commands.CreateResponse, choice: str | None
) -> None:
    assert frame_of(request_).get("response", {}).get("tool_choice") == choice
    assert "tool_choice" not in frame_of(request_, Tools()).get("response", {})


@pytest.mark.parametrize(
    ("kind", "fields", "event"),
    [
        (
            "response.function_call_arguments.done",
            {"response_id": "resp_1", "call_id": "call_1", "name": "order"}
            | {"arguments": '{"number":"17"}'},
            CALLED,
        ),
        (
            "response.function_call_arguments.done",
            {"response_id": "resp_1", "call_id": "call_1", "arguments": "{}"},
            ALIVE,
        ),
        ("response.output_item.done", {"response_id": "resp_1", "item": CALL}, CALLED),
        ("response.output_item.added", {"response_id": "resp_1", "item": CALL}, ALIVE),
        (
            "response.output_item.done",
            {"response_id": "resp_1", "item": CALL | {"status": "incomplete"}},
            replace(CALLED, is_whole=False),
        ),
        ("response.output_item.done", {"response_id": "resp_1", "item": item("message")}, ALIVE),
        ("response.output_item.done", {"response_id": "resp_1", "item": 7}, ALIVE),
        ("response.output_item.added", {"response_id": "resp_1", "item": MCP_CALL}, MCP_CALLED),
        (
            "response.output_item.done",
            {"response_id": "resp_1", "item": MCP_CALL},
            replace(MCP_CALLED, ok=True),
        ),
        (
            "response.output_item.done",
            {"response_id": "resp_1", "item": MCP_CALL | {"status": None}},
            MCP_CALLED,
        ),
        (
            "response.output_item.done",
            {"response_id": "resp_1", "item": MCP_CALL | {"status": None, "output": "[]"}},
            replace(MCP_CALLED, ok=True),
        ),
        (
            "response.output_item.done",
            {"response_id": "resp_1", "item": MCP_CALL | {"error": MCP_ERROR}},
            replace(MCP_CALLED, ok=False),
        ),
        ("conversation.item.done", {"item": MCP_CALL}, tool_events.McpReturned("item_1", True)),
        (
            "conversation.item.done",
            {"item": MCP_CALL | {"status": "incomplete"}},
            tool_events.McpReturned("item_1", False),
        ),
        (
            "conversation.item.done",
            {"item": MCP_CALL | {"output": None, "error": MCP_ERROR}},
            tool_events.McpReturned("item_1", False),
        ),
        ("conversation.item.done", {"item": MCP_CALL | {"status": "in_progress"}}, None),
        ("conversation.item.done", {"item": CALL}, None),
        (
            "response.mcp_call.completed",
            {"item_id": "item_1"},
            tool_events.McpReturned("item_1", True),
        ),
        (
            "response.mcp_call.failed",
            {"item_id": "item_1"},
            tool_events.McpReturned("item_1", False),
        ),
        (
            "conversation.item.added",
            {"item": item("function_call_output", call_id="call_1", output="{}")},
            tool_events.OutputAdded("call_1"),
        ),
        (
            "conversation.item.created",
            {"item": item("function_call_output", call_id="call_1", output="{}")},
            tool_events.OutputAdded("call_1"),
        ),
        ("conversation.item.added", {"item": item("message", role="user")}, None),
    ],
)
def test_calls_are_understood_however_they_are_told(
    kind: str, fields: Frame, event: events.ModelEvent | None
) -> None:
    assert event_of(kind, **fields) == event


def test_an_mcp_server_whose_tools_cannot_be_listed_is_told_by_its_label() -> None:
    listing = item("mcp_list_tools", server_label="calendar", tools=[])
    assert event_of("conversation.item.added", item=listing) == tool_events.McpListing(
        "item_1", "calendar"
    )
    assert event_of("mcp_list_tools.failed", item_id="item_1") == tool_events.McpUnavailable(
        "item_1"
    )


def test_an_approval_is_asked_for_and_refused() -> None:
    asked = item("mcp_approval_request", name="pay", server_label="shop", arguments="{}")
    event = tool_events.ApprovalRequested("resp_1", "item_1", "pay")
    assert event_of("response.output_item.done", response_id="resp_1", item=asked) == event
    assert end_of_response(asked).calls == (event,)
    assert frame_of(commands.DenyApproval("item_1")) == {
        "type": "conversation.item.create",
        "item": {
            "type": "mcp_approval_response",
            "id": "no-item_1",
            "approval_request_id": "item_1",
            "approve": False,
            "reason": "Nobody on the phone can approve it.",
        },
        "event_id": "approval-item_1",
    }


def test_a_response_names_its_calls_too() -> None:
    assert end_of_response(item("message"), CALL, MCP_CALL).calls == (CALLED, MCP_CALLED)


@pytest.mark.parametrize(
    "output", [item("message", content=7), 7, None, CALL | {"call_id": 7}, CALL | {"name": None}]
)
def test_an_item_that_cannot_be_read_costs_nothing_but_itself(output: Any) -> None:
    assert end_of_response(output, MCP_CALL).calls == (MCP_CALLED,)


@pytest.mark.parametrize("written", ['{"number":"1\ud83d"}', '{"number":"1\\ud83d"}'])
def test_arguments_with_half_a_surrogate_pair_are_those_of_a_call(written: str) -> None:
    called = replace(CALLED, arguments='{"number":"1\ufffd"}')
    assert end_of_response(CALL | {"arguments": written, "server_label": 7}).calls == (called,)
    fields = {"response_id": "resp_1", "call_id": "call_1", "name": "order"}
    told = event_of("response.function_call_arguments.done", **fields, arguments=written)
    assert told == called


def test_a_response_without_a_list_of_items_has_ended_all_the_same() -> None:
    raw = b'{"type":"response.done","response":{"id":"resp_1","output":"none"}}'
    event = protocol().decode(raw)
    assert isinstance(event, events.ResponseEnded)
    assert event.calls == ()


def test_what_is_secret_is_in_no_message_for_people() -> None:
    shown = repr(EVERYTHING)
    for secret in ("Bearer abc", "the secret", "token"):
        assert secret not in shown
        assert secret in msgspec.json.encode(EVERYTHING).decode()
