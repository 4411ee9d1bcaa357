"""Tools as a program declares them: what becomes of them, what is refused, what is not shown."""

import json
from typing import Any

import pytest

import ai_calls
from control_plane.api.requests.declared_tools import MASK
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, McpServer, Message, Tools
from phonebridge.storage.call_store import DynamoCallStore
from tests.support.api_events import Answer, api_event, read_answer

pytestmark = pytest.mark.usefixtures("environment")

ORDER: dict[str, Any] = {"name": "order_status", "url": "https://example.com/order"}
MCP: dict[str, Any] = {
    "type": "mcp",
    "server_label": "calendar",
    "server_url": "https://mcp.example.com/sse",
}
SALES: dict[str, Any] = {"name": "sales", "to": "+15550101", "warm": True}
TRANSFER: dict[str, Any] = {"type": "transfer_call", "destinations": [SALES, {"to": "+15550102"}]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "string", "description": "Größe"}},
    "required": ["number"],
}
SECRET = "a secret of sixteen or more"


def create(*tools: object) -> Answer:
    body = json.dumps({"to": "+15550100", "tools": tools}).encode()
    event = api_event("POST", "/api/ai-calls/create", body=body)
    return read_answer(ai_calls.handler(event, None))


def get(call_id: str) -> Answer:
    return read_answer(ai_calls.handler(api_event("GET", f"/api/ai-calls/{call_id}"), None))


def stored_tools(store: DynamoCallStore, *tools: object) -> Tools:
    created = create(*tools)
    assert created.status == 201, created.json
    config = store.config(created.json["call_id"])
    assert config
    return config.tools


def nested_schema(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"not": schema}
    return schema | {"type": "object"}


def test_a_function_needs_no_more_than_a_name_and_a_url(store: DynamoCallStore) -> None:
    function = HttpsFunction(name="order_status", url="https://example.com/order")
    assert stored_tools(store, ORDER) == Tools(functions=(function,))


def test_a_function_is_kept_with_all_its_wishes(store: DynamoCallStore) -> None:
    wishes = {
        "type": "function",
        "description": "Look up an order.",
        "parameters": SCHEMA,
        "timeout_seconds": 5,
        "idempotent": True,
        "filler": "One moment, please.",
        "headers": {"Authorization": "Bearer abc"},
        "secret": SECRET,
    }
    [function] = stored_tools(store, ORDER | wishes).functions
    assert json.loads(function.parameters) == SCHEMA
    assert function == HttpsFunction(
        name="order_status",
        url="https://example.com/order",
        description="Look up an order.",
        parameters=function.parameters,
        timeout_seconds=5.0,
        idempotent=True,
        filler="One moment, please.",
        headers={"Authorization": "Bearer abc"},
        secret=SECRET,
    )


def test_built_in_tools_are_declared_by_name(store: DynamoCallStore) -> None:
    assert stored_tools(store, "end_call", {"type": "take_message"}, "send_dtmf") == Tools(
        built_in=(BuiltIn.END_CALL, BuiltIn.SEND_DTMF, BuiltIn.TAKE_MESSAGE)
    )


def test_the_model_may_transfer_to_these_and_nobody_else(store: DynamoCallStore) -> None:
    assert stored_tools(store, TRANSFER) == Tools(
        built_in=(BuiltIn.TRANSFER_CALL,),
        destinations=(
            Destination("sales", "+15550101", warm=True),
            Destination("+15550102", "+15550102"),
        ),
    )


def test_mcp_servers_are_the_models_affair(store: DynamoCallStore) -> None:
    given = {"authorization": "token", "headers": {"X-Team": "a"}, "allowed_tools": ["find"]}
    assert stored_tools(store, MCP, MCP | {"server_label": "two"} | given).mcp_servers == (
        McpServer(label="calendar", url="https://mcp.example.com/sse"),
        McpServer(
            label="two",
            url="https://mcp.example.com/sse",
            authorization="token",
            headers={"X-Team": "a"},
            allowed_tools=("find",),
        ),
    )


def test_the_record_shows_tools_as_they_were_declared_with_their_secrets_masked() -> None:
    secret = ORDER | {"secret": SECRET, "headers": {"Authorization": "Bearer abc"}}
    server = MCP | {"authorization": "key-of-the-calendar"}
    call_id = create(secret, server, "end_call", TRANSFER).json["call_id"]

    shown = get(call_id).json["config"]["tools"]

    assert shown == [
        ORDER
        | {
            "type": "function",
            "description": "",
            "parameters": {"type": "object", "properties": {}},
            "timeout_seconds": 10.0,
            "idempotent": False,
            "filler": None,
            "headers": {"Authorization": MASK},
            "secret": MASK,
        },
        MCP
        | {
            "authorization": MASK,
            "headers": {},
            "allowed_tools": None,
            "require_approval": "never",
        },
        {"type": "end_call"},
        {
            "type": "transfer_call",
            "destinations": [SALES, {"name": None, "to": "+15550102", "warm": False}],
        },
    ]


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        (ORDER | {"secret": MASK}, "tools.0.secret"),
        (ORDER | {"headers": {"Authorization": MASK}}, "tools.0.headers.Authorization"),
        (MCP | {"authorization": MASK}, "tools.0.authorization"),
    ],
)
def test_a_call_is_not_placed_with_a_masked_secret(tool: object, field: str) -> None:
    refused = create(tool)
    assert (refused.status, refused.error["details"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("transfer_call", ["needs destinations", '"type": "transfer_call"']),
        ("end_cal", ["did you mean `end_call`", "`send_dtmf`", "`take_message`", "transfer_call"]),
        ({"type": "transfer"}, ["did you mean `transfer_call`", "`function`", "`mcp`"]),
        (7, ["must be an object, or the name of a built-in tool"]),
    ],
)
def test_an_unknown_tool_is_told_which_there_are(tool: object, words: list[str]) -> None:
    [detail] = create(tool).error["details"]
    assert detail["field"] == "tools.0"
    assert [word for word in words if word not in detail["problem"]] == []


def test_the_record_shows_the_messages(store: DynamoCallStore) -> None:
    call_id = create("take_message").json["call_id"]
    message = Message(number=1, text="Call me.", name="Ann", phone="+15550101", taken_ms=900)
    store.add_message(call_id, message)
    assert get(call_id).json["messages"] == [
        {
            "number": 1,
            "text": "Call me.",
            "name": "Ann",
            "phone": "+15550101",
            "taken_ms": 900,
        }
    ]


@pytest.mark.without_table
@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ("sing", "tools.0"),
        ("transfer_call", "tools.0"),
        (7, "tools.0"),
        ({"type": "sing"}, "tools.0"),
        ({"type": ["function"]}, "tools.0"),
        ({}, "tools.0.name"),
        ({"type": "function", "function": ORDER}, "tools.0.name"),
        ({"name": "order_status"}, "tools.0.url"),
        (ORDER | {"name": ""}, "tools.0.name"),
        (ORDER | {"name": "x" * 65}, "tools.0.name"),
        (ORDER | {"name": "order status"}, "tools.0.name"),
        (ORDER | {"name": "end_call"}, "tools.0.name"),
        (ORDER | {"description": "x" * 2049}, "tools.0.description"),
        (ORDER | {"parameters": []}, "tools.0.parameters"),
        (ORDER | {"parameters": {"type": "string"}}, "tools.0.parameters"),
        (ORDER | {"parameters": nested_schema(17)}, "tools.0.parameters"),
        (ORDER | {"parameters": {"type": "object", "x": "\ud800"}}, "tools.0.parameters"),
        (ORDER | {"parameters": {"type": "object", "x": "x" * 8192}}, "tools.0.parameters"),
        (ORDER | {"url": "order"}, "tools.0.url"),
        (ORDER | {"url": "ftp://example.com/"}, "tools.0.url"),
        (ORDER | {"url": "https:///order"}, "tools.0.url"),
        (ORDER | {"url": "https://example.com:port/"}, "tools.0.url"),
        (ORDER | {"url": "https://me:word@example.com/"}, "tools.0.url"),
        (ORDER | {"url": "https://example.com/#top"}, "tools.0.url"),
        (ORDER | {"url": "https://example.com/a b"}, "tools.0.url"),
        (ORDER | {"url": "https://example.com/a\r\nHost: b"}, "tools.0.url"),
        (ORDER | {"url": "https://[::1/"}, "tools.0.url"),
        (ORDER | {"url": "https://example.com/" + "x" * 2048}, "tools.0.url"),
        (ORDER | {"url": "https://^K<e"}, "tools.0.url"),
        (ORDER | {"url": "https://example..com/"}, "tools.0.url"),
        (ORDER | {"url": "https://example.com/{id}"}, "tools.0.url"),
        (ORDER | {"url": "https://example.com/100%"}, "tools.0.url"),
        (ORDER | {"timeout_seconds": 0}, "tools.0.timeout_seconds"),
        (ORDER | {"timeout_seconds": 31}, "tools.0.timeout_seconds"),
        (ORDER | {"timeout_seconds": "5"}, "tools.0.timeout_seconds"),
        (ORDER | {"idempotent": "yes"}, "tools.0.idempotent"),
        (ORDER | {"filler": ""}, "tools.0.filler"),
        (ORDER | {"filler": "x" * 301}, "tools.0.filler"),
        (ORDER | {"headers": {"X": "a\r\nY: b"}}, "tools.0.headers.X"),
        (ORDER | {"headers": {"X": ""}}, "tools.0.headers.X"),
        (ORDER | {"headers": {"Host": "a"}}, "tools.0.headers.Host"),
        (ORDER | {"headers": {"Phonebridge-Signature": "a"}}, "tools.0.headers"),
        (ORDER | {"headers": {str(n): "a" for n in range(17)}}, "tools.0.headers"),
        (ORDER | {"secret": "short"}, "tools.0.secret"),
        (ORDER | {"retries": 3}, "tools.0.retries"),
        (MCP | {"server_label": ""}, "tools.0.server_label"),
        (MCP | {"server_url": "http://mcp.example.com/"}, "tools.0.server_url"),
        (MCP | {"require_approval": "always"}, "tools.0.require_approval"),
        (MCP | {"allowed_tools": []}, "tools.0.allowed_tools"),
        (MCP | {"allowed_tools": [""]}, "tools.0.allowed_tools.0"),
        ({"type": "transfer_call"}, "tools.0.destinations"),
        ({"type": "transfer_call", "destinations": []}, "tools.0.destinations"),
        (TRANSFER | {"destinations": [{"to": "me"}]}, "tools.0.destinations.0.to"),
        (TRANSFER | {"destinations": [SALES, SALES]}, "tools.0.destinations"),
        (TRANSFER | {"destinations": [SALES | {"name": " "}]}, "tools.0.destinations.0.name"),
        ({"type": "end_call", "reason": "bye"}, "tools.0.reason"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_a_bad_field_is_named(tool: object, field: str) -> None:
    refused = create(tool)
    assert (refused.status, refused.error["code"]) == (422, "invalid_field")
    assert refused.error["details"][0]["field"].startswith(field)


@pytest.mark.without_table
@pytest.mark.parametrize(
    "tools",
    [
        [ORDER, ORDER],
        ["end_call", {"type": "end_call"}],
        [TRANSFER, TRANSFER],
        [MCP, MCP],
        [ORDER | {"name": f"tool_{n}"} for n in range(33)],
    ],
)
def test_names_are_told_apart_and_counted(tools: list[object]) -> None:
    refused = create(*tools)
    assert refused.status == 422
    assert refused.error["details"][0]["field"] == "tools"


def test_all_tools_together_must_find_room_on_the_record() -> None:
    schema = {"type": "object", "description": "x" * 8000}
    refused = create(*(ORDER | {"name": f"tool_{n}", "parameters": schema} for n in range(9)))
    assert (refused.status, refused.error["code"]) == (422, "too_large")
