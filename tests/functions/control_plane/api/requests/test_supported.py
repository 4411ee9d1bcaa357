"""What can never work is refused before anybody's phone rings."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import ai_calls
from phonebridge.call.config import CallConfig
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.mailbox import DynamoMailbox
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import streaming_call
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")

TO = {"to": "+15550100"}
AGENT = "/api/agents/reception"
AZURE = "wss://ours.openai.azure.com/openai/v1/realtime"

Reconfigure = Callable[..., None]


def request(method: str, path: str, body: object) -> Answer:
    event = api_event(method, path, json.dumps(body).encode())
    return read_answer(ai_calls.handler(event, None))


def create(**wishes: Any) -> Answer:
    return request("POST", "/api/ai-calls/create", TO | wishes)


def function(url: str) -> dict[str, Any]:
    return {"name": "book", "url": url}


def field_refused(answer: Answer) -> str:
    assert (answer.status, answer.error["code"]) == (422, "invalid_field"), answer.json
    [problem] = answer.error["details"]
    field: str = problem["field"]
    return field


UNREACHABLE = [
    "http://tools.example/book",
    "https://127.0.0.1:8000/book",
    "https://127.1/book",
    "https://2130706433/book",
    "https://0x7f000001/book",
    "https://10.1.2.3/book",
    "https://169.254.169.254/latest",
    "https://[::1]/book",
    "https://[fd00:ec2::254]/latest",
    "https://localhost/book",
    "https://LOCALHOST./book",
    "https://tools.localhost/book",
]
REACHABLE = ["https://tools.example/book", "https://8.8.8.8/book", "https://[2606:4700::1]/book"]


class TestAServerOfTheUsers:
    @pytest.mark.parametrize("url", UNREACHABLE)
    def test_that_can_never_be_called_is_refused_before_dialling(
        self, url: str, telnyx: RecordedTelnyx
    ) -> None:
        assert field_refused(create(tools=["end_call", function(url)])) == "tools.1.url"
        assert field_refused(create(webhook_url=url)) == "webhook_url"
        assert telnyx.commands == []

    @pytest.mark.parametrize("url", UNREACHABLE)
    def test_is_refused_of_an_agent_too(self, url: str) -> None:
        assert field_refused(request("PUT", AGENT, {"tools": [function(url)]})) == "tools.0.url"
        assert field_refused(request("PUT", AGENT, {"webhook_url": url})) == "webhook_url"

    def test_is_refused_of_a_live_call_too(
        self, store: DynamoCallStore, mailbox: DynamoMailbox
    ) -> None:
        store.create(streaming_call(), CallConfig())
        tools = {"tools": [function("http://tools.example/book")]}

        assert field_refused(request("POST", "/api/ai-calls/call-1/update", tools)) == "tools.0.url"
        assert mailbox.collect("task-1") == []

    @pytest.mark.parametrize("url", REACHABLE)
    def test_at_a_public_address_is_taken(self, url: str) -> None:
        created = create(tools=[function(url)], webhook_url=url)
        assert (created.status, created.json["warnings"]) == (201, [])

    def test_that_the_operator_allows_is_taken(self, reconfigure: Reconfigure) -> None:
        reconfigure(TOOL_HOSTS_ALLOWED="127.0.0.1:8000,crm.internal:80")

        created = create(
            tools=[function("http://127.0.0.1:8000/book")], webhook_url="http://crm.internal/calls"
        )
        assert created.status == 201
        assert field_refused(create(webhook_url="http://127.0.0.1:8001/")) == "webhook_url"

    def test_is_told_what_the_operator_can_do(self) -> None:
        [detail] = create(webhook_url="http://crm.example:8080/calls").error["details"]
        assert "TOOL_HOSTS_ALLOWED" in detail["problem"]
        assert "crm.example:8080" in detail["problem"]

    def test_of_an_agent_is_judged_by_what_is_allowed_now(
        self, reconfigure: Reconfigure, telnyx: RecordedTelnyx
    ) -> None:
        reconfigure(TOOL_HOSTS_ALLOWED="127.0.0.1:8000")
        request("PUT", AGENT, {"tools": [function("http://127.0.0.1:8000/book")]})
        reconfigure(TOOL_HOSTS_ALLOWED="")

        refused = create(agent="reception")

        assert field_refused(refused) == "agent"
        assert "tools.book.url" in refused.error["message"]
        assert telnyx.commands == []

    def test_of_the_operators_own_choice_is_warned_of(self, reconfigure: Reconfigure) -> None:
        reconfigure(OUTCOME_WEBHOOK_URL="http://crm.example/calls")

        [warning] = create().json["warnings"]

        assert "OUTCOME_WEBHOOK_URL" in warning
        assert create(webhook_url="https://crm.example/calls").json["warnings"] == []

    def test_of_mcp_has_to_be_public_where_openai_calls_it(self, reconfigure: Reconfigure) -> None:
        mcp = {"type": "mcp", "server_label": "calendar", "server_url": "https://10.0.0.1/sse"}
        assert field_refused(create(tools=[mcp])) == "tools.0.server_url"
        reconfigure(OPENAI_REALTIME_URL=AZURE)
        assert create(tools=[mcp]).status == 201


class TestAModel:
    @pytest.mark.parametrize(
        "model",
        [
            "gpt-5",
            "gpt-5.1-mini",
            "gpt-4o",
            "gpt-4o-mini",
            "gpt-4.1",
            "gpt-3.5-turbo",
            "o3",
            "o4-mini",
        ]
        + ["gpt-live-1", "whisper-1", "gpt-transcribe", "gpt-realtime-whisper", "tts-1-hd"]
        + ["text-embedding-3-small", "chatgpt-4o-latest", "gpt-image-1", "ft:gpt-4o-mini:us::1"],
    )
    def test_of_another_family_is_refused_at_openai(
        self, model: str, telnyx: RecordedTelnyx
    ) -> None:
        assert field_refused(create(model=model)) == "model"
        assert field_refused(request("PUT", AGENT, {"model": model})) == "model"
        assert telnyx.commands == []

    @pytest.mark.parametrize(
        "model",
        ["gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-1.5", "gpt-realtime-9"]
        + ["gpt-5-realtime", "gpt-4o-realtime-preview", "ft:gpt-realtime-2:us::1", "o9-realtime"],
    )
    def test_with_realtime_in_its_name_is_taken(self, model: str) -> None:
        created = create(model=model)
        assert (created.status, created.json["warnings"]) == (201, [])

    @pytest.mark.parametrize("model", ["gpt-6", "gpt-audio-1.5", "voice-1", "opera-1"])
    def test_of_a_family_nobody_knows_is_warned_of(self, model: str) -> None:
        created = create(model=model)
        assert created.status == 201
        assert created.json["warnings"] == [f"model: {model} is not known to be a Realtime model."]

    def test_may_have_any_name_elsewhere(self, reconfigure: Reconfigure) -> None:
        reconfigure(OPENAI_REALTIME_URL=AZURE)

        [warning] = create(model="gpt-5").json["warnings"]

        assert warning == "model: gpt-5 is not a Realtime model at OpenAI."
        assert create(model="our-voice").json["warnings"] == []

    def test_that_writes_down_has_to_be_one_for_that(self, reconfigure: Reconfigure) -> None:
        for model in ("gpt-5", "gpt-realtime-2.1", "tts-1"):
            refused = create(transcription={"model": model})
            assert field_refused(refused) == "transcription.model"
        for model in ("gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper", "new-1"):
            assert create(transcription={"model": model}).status == 201
        reconfigure(OPENAI_REALTIME_URL=AZURE)
        [warning] = create(transcription={"model": "gpt-5"}).json["warnings"]
        assert warning.startswith("transcription.model: gpt-5")

    def test_of_an_agent_is_judged_by_the_present_server(self, reconfigure: Reconfigure) -> None:
        reconfigure(OPENAI_REALTIME_URL=AZURE)
        request("PUT", AGENT, {"model": "gpt-5"})
        reconfigure(OPENAI_REALTIME_URL="")
        assert field_refused(create(agent="reception")) == "agent"
        assert create(agent="reception", model="gpt-realtime-2.1").status == 201
