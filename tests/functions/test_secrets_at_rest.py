"""Secrets of tools are encrypted in the table: in calls, agents and mailboxes, live and ended."""

import json
from typing import TYPE_CHECKING, Any

import pytest

import ai_calls
from control_plane import services
from phonebridge.call.call import Hangup
from phonebridge.call.events import CallAnswered, CallHungUp, MediaAttached
from phonebridge.call.steering import Update
from phonebridge.call.tools import Tools
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.mailbox import DynamoMailbox
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import LEG
from tests.support.clock import Clock
from tests.support.recorded_telnyx import RecordedTelnyx

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.usefixtures("environment")

SECRETS = ("canary-of-a-header", "canary-that-signs", "canary-of-mcp", "canary-of-an-mcp-header")
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "look_up",
        "url": "https://tools.example/look-up",
        "headers": {"X-Token": SECRETS[0]},
        "secret": SECRETS[1],
    },
    {
        "type": "mcp",
        "server_label": "calendar",
        "server_url": "https://mcp.example/sse",
        "authorization": SECRETS[2],
        "headers": {"X-Token": SECRETS[3]},
    },
]


def request(method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
    content = None if body is None else json.dumps(body).encode()
    return read_answer(ai_calls.handler(api_event(method, path, content), None))


def stored_text(client: "DynamoDBClient", table_name: str) -> str:
    return json.dumps(client.scan(TableName=table_name)["Items"], default=str)


def secrets_in(tools: Tools) -> set[str]:
    functions = {value for each in tools.functions for value in each.headers.values()}
    servers = {value for each in tools.mcp_servers for value in each.headers.values()}
    signing = {each.secret or "" for each in tools.functions}
    return functions | servers | signing | {each.authorization or "" for each in tools.mcp_servers}


def routes_with_tools() -> dict[str, str]:
    """Every route of the API that tools can be sent to, and its method."""
    document = request("GET", "/api/openapi.json").json
    schemas = document["components"]["schemas"]
    found: dict[str, str] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = json.dumps(operation.get("requestBody", {}))
            names = [name for name in schemas if f'/schemas/{name}"' in body]
            if any("tools" in schemas[name].get("properties", {}) for name in names):
                found[path] = method.upper()
    return found


def test_these_routes_take_tools() -> None:
    """A new route belongs into the test below."""
    known = {"/api/ai-calls/create", "/api/ai-calls/{call_id}/update", "/api/agents/{name}"}
    assert known <= set(routes_with_tools())


def test_no_secret_is_readable_in_the_table_while_a_call_lives_or_after_its_end(
    client: "DynamoDBClient",
    table_name: str,
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
    clock: Clock,
    telnyx: RecordedTelnyx,
) -> None:
    assert request("PUT", "/api/agents/desk", {"tools": TOOLS}).status == 200
    created = request("POST", "/api/ai-calls/create", {"to": "+15550100", "agent": "desk"})
    call_id = created.json["call_id"]
    switchboard = services.control_plane().switchboard
    switchboard.apply(call_id, CallAnswered(LEG, clock.now_ms))
    switchboard.apply(call_id, MediaAttached(1, "task-1", clock.now_ms))
    update = {"tools": TOOLS, "instructions": "Be brief."}
    assert request("POST", f"/api/ai-calls/{call_id}/update", update).status == 202

    live = stored_text(client, table_name)
    config = store.config(call_id)
    [posted] = mailbox.collect("task-1")
    hangup = CallHungUp(LEG, Hangup("normal_clearing", "callee", clock.now_ms))
    switchboard.apply(call_id, hangup)

    for text in (live, stored_text(client, table_name)):
        assert "look_up" in text
        assert not [each for each in SECRETS if each in text]
    assert config
    assert secrets_in(config.tools) == set(SECRETS)
    assert isinstance(posted.command, Update)
    assert posted.command.tools
    assert secrets_in(posted.command.tools) == set(SECRETS)


def test_a_masked_secret_that_is_put_back_stays_the_same(store: DynamoCallStore) -> None:
    request("PUT", "/api/agents/desk", {"tools": TOOLS})
    read = request("GET", "/api/agents/desk").json
    assert not [each for each in SECRETS if each in json.dumps(read)]
    assert request("PUT", "/api/agents/desk", read).status == 200

    created = request("POST", "/api/ai-calls/create", {"to": "+15550100", "agent": "desk"})
    config = store.config(created.json["call_id"])
    assert config
    assert secrets_in(config.tools) == set(SECRETS)


def test_after_a_new_stack_secret_an_agent_works_again_once_it_is_put_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request("PUT", "/api/agents/desk", {"tools": TOOLS})
    created = request("POST", "/api/ai-calls/create", {"to": "+15550100", "agent": "desk"})
    masked = request("GET", "/api/agents/desk").json
    monkeypatch.setenv("STREAM_TOKEN_SECRET", "another secret")
    services.control_plane.cache_clear()

    refused = request("POST", "/api/ai-calls/create", {"to": "+15550100", "agent": "desk"})
    assert (refused.status, refused.error["code"]) == (503, "not_configured")
    assert "put the agent again" in refused.error["message"]
    assert request("PUT", "/api/agents/desk", masked).status == 422
    record = request("GET", f"/api/ai-calls/{created.json['call_id']}")
    assert record.status == 200

    assert request("PUT", "/api/agents/desk", {"tools": TOOLS}).status == 200
    repeated = request("POST", "/api/ai-calls/create", {"to": "+15550100", "agent": "desk"})
    assert repeated.status == 201
