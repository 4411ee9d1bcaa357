"""Agents and their numbers as a program sees them: made, changed, taken on a call, deleted."""

import json
from dataclasses import replace
from typing import Any

import pytest

import ai_calls
from control_plane import services
from control_plane.api.requests.agent_settings import AgentSettings, NamedAgent
from control_plane.api.requests.declared_tools import MASK
from control_plane.api.requests.fields import StrictModel
from control_plane.api.responses.agents import NumberResource
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.storage.call_items import CONFIG_BYTES_MAX
from phonebridge.storage.call_store import DynamoCallStore
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")

RECEPTION = "/api/agents/reception"
NUMBER = "/api/numbers/+15550100"
SETTINGS: dict[str, Any] = {
    "instructions": "You answer for a dental practice.",
    "voice": "cedar",
    "greeting": "Good morning!",
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
    "idle_timeout_seconds": 10,
}


BOOK: dict[str, Any] = {
    "type": "function",
    "name": "book",
    "description": "Book an appointment.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}},
    "url": "https://practice.example/book",
    "timeout_seconds": 5.5,
    "idempotent": True,
    "filler": "One moment, please.",
    "headers": {"Authorization": "Bearer of-the-practice"},
    "secret": "secret-of-the-practice",
}
EVERY_FIELD: list[dict[str, Any]] = [
    {
        "instructions": "You answer for a dental practice.",
        "model": "gpt-realtime-2.1",
        "voice": "voice_1234",
        "speed": 1.25,
        "greeting": "Good morning!",
        "language": "de-CH",
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.7,
            "prefix_padding_ms": 200,
            "silence_duration_ms": 400,
            "idle_timeout_ms": 6000,
            "create_response": False,
            "interrupt_response": True,
        },
        "noise_reduction": "far_field",
        "noise_reduction_strength": 0.5,
        "transcription": {"model": "gpt-transcribe", "prompt": "Names.", "keywords": ["Ada"]},
        "reasoning_effort": "low",
        "max_output_tokens": 1000,
        "temperature": 0.5,
        "max_duration_seconds": 600,
        "idle_prompts": 1,
        "barge_in_min_ms": 150,
        "codec": "L16",
        "machine_detection": {
            "mode": "leave_message",
            "message": "Call us back.",
            "method": "standard",
        },
        "record": True,
        "record_dtmf": False,
        "stream_setup": "with_dial",
        "fallback": {"say": "One moment.", "transfer_to": "+15550133"},
        "webhook_url": "https://crm.example/calls",
        "tools": [
            BOOK,
            {
                "type": "mcp",
                "server_label": "calendar",
                "server_url": "https://mcp.example/sse",
                "authorization": "token-of-the-calendar",
                "headers": {"X-Team": "front desk"},
                "allowed_tools": ["find"],
                "require_approval": "never",
            },
            {"type": "end_call"},
            {"type": "send_dtmf"},
            {"type": "take_message"},
            {
                "type": "transfer_call",
                "destinations": [
                    {"name": "sales", "to": "+15550131", "warm": True},
                    {"name": None, "to": "+15550132", "warm": False},
                ],
            },
        ],
    },
    {
        "idle_timeout_seconds": 10,
        "turn_detection": {
            "type": "semantic_vad",
            "eagerness": "low",
            "create_response": False,
            "interrupt_response": True,
        },
    },
]


def mask(value: Any, name: str = "") -> Any:
    """The same settings as an answer shows them."""
    if name in ("secret", "authorization"):
        return MASK
    if name == "headers":
        return dict.fromkeys(value, MASK)
    if isinstance(value, dict):
        return {key: mask(each, key) for key, each in value.items()}
    return [mask(each) for each in value] if isinstance(value, list) else value


def fields_set_in(value: object) -> set[tuple[type[StrictModel], str]]:
    """Every field that is set in a model or below it, with the model's class."""
    if isinstance(value, StrictModel):
        below = (fields_set_in(getattr(value, name)) for name in value.model_fields_set)
        return {(type(value), name) for name in value.model_fields_set}.union(*below)
    return set().union(*map(fields_set_in, value)) if isinstance(value, list) else set()


def stored_agent() -> CallConfig:
    return services.control_plane().directory.agent("reception").config()


def request(method: str, path: str, body: object = None, **more: Any) -> Answer:
    raw = None if body is None else json.dumps(body).encode()
    return read_answer(ai_calls.handler(api_event(method, path, raw, **more), None))


def field_refused(answer: Answer) -> str:
    assert (answer.status, answer.error["code"]) == (422, "invalid_field")
    [problem] = answer.error["details"]
    field: str = problem["field"]
    return field


def call_of(to: str = "+15550123", **wishes: Any) -> Answer:
    return request("POST", "/api/ai-calls/create", {"to": to} | wishes)


class TestAnAgent:
    def test_is_answered_as_it_was_put_with_the_rest_by_default(self) -> None:
        put = request("PUT", RECEPTION, SETTINGS)

        assert put.status == 200
        assert put.json == request("GET", RECEPTION).json | {"warnings": []}
        assert put.json["name"] == "reception"
        assert put.json["greeting"] == "Good morning!"
        assert put.json["turn_detection"]["silence_duration_ms"] == 300
        assert put.json["max_duration_seconds"] == CallConfig().max_duration_seconds

    def test_put_again_is_made_anew_not_merged(self) -> None:
        request("PUT", RECEPTION, SETTINGS)
        request("PUT", RECEPTION, {"voice": "marin"})

        assert request("GET", RECEPTION).json["greeting"] is None

    def test_warns_as_a_call_would(self) -> None:
        [warning] = request("PUT", RECEPTION, {"voice": "fable"}).json["warnings"]

        assert warning.startswith("voice:")

    @pytest.mark.without_table
    @pytest.mark.parametrize("url", ["crm.example", "ftp://crm.example/", "https://a@crm.example/"])
    def test_is_told_where_to_send_outcomes_by_a_url(self, url: str) -> None:
        assert field_refused(request("PUT", RECEPTION, {"webhook_url": url})) == "webhook_url"

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_that_was_never_put_is_not_there(self, method: str) -> None:
        missing = request(method, RECEPTION)

        assert (missing.status, missing.error["code"]) == (404, "unknown_agent")

    @pytest.mark.without_table
    @pytest.mark.parametrize("name", ["Reception", "re_ception", "a" * 65, "r%C3%A9ception"])
    def test_has_a_plain_name(self, name: str) -> None:
        assert field_refused(request("PUT", f"/api/agents/{name}", SETTINGS)) == "name"

    @pytest.mark.parametrize(
        ("settings", "field"),
        [
            ({"voices": "cedar"}, "voices"),
            ({"voice": "darth"}, "voice"),
            ({"to": "+15550123"}, "to"),
            ({"instructions": "x" * 32_769}, "instructions"),
            ({"max_duration_seconds": 3_301}, "max_duration_seconds"),
            (
                {"turn_detection": {"type": "server_vad", "threshold": 2}},
                "turn_detection.threshold",
            ),
        ],
    )
    def test_is_refused_with_the_name_of_a_bad_field(
        self, settings: dict[str, Any], field: str
    ) -> None:
        assert field_refused(request("PUT", RECEPTION, settings)) == field
        assert request("GET", RECEPTION).status == 404

    def test_is_no_larger_than_a_call_may_be(self) -> None:
        refused = request("PUT", RECEPTION, {"instructions": "\N{PILE OF POO}" * 20_000})

        assert (refused.status, refused.error["code"]) == (422, "too_large")
        assert str(CONFIG_BYTES_MAX) in refused.error["message"]

    def test_without_a_body_is_unreadable(self) -> None:
        assert request("PUT", RECEPTION).status == 400


class TestWhatWasRead:
    @pytest.mark.parametrize("settings", EVERY_FIELD, ids=("server_vad", "semantic_vad"))
    def test_shows_every_field_as_it_was_set(self, settings: dict[str, Any]) -> None:
        request("PUT", RECEPTION, settings)

        shown = request("GET", RECEPTION).json

        assert {name: shown[name] for name in settings} == mask(settings)

    @pytest.mark.parametrize(
        "settings", [*EVERY_FIELD, {}, {"noise_reduction": "off"}, {"tools": ["end_call"]}]
    )
    def test_can_be_put_back_unchanged(self, settings: dict[str, Any]) -> None:
        request("PUT", RECEPTION, settings)
        first = stored_agent()
        shown = request("GET", RECEPTION).json

        put = request("PUT", RECEPTION, shown)

        assert put.status == 200
        assert put.json == shown
        assert request("GET", RECEPTION).json == shown
        assert stored_agent() == first, "its secrets too"

    def test_can_be_put_back_though_the_operator_allows_shorter_calls_now(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request("PUT", RECEPTION, {})
        monkeypatch.setenv("MAX_CALL_MINUTES", "10")
        services.control_plane.cache_clear()

        shown = request("GET", RECEPTION).json

        assert shown["max_duration_seconds"] == 600
        assert request("PUT", RECEPTION, shown).status == 200

    def test_is_of_that_name_and_no_other(self) -> None:
        request("PUT", RECEPTION, SETTINGS)
        shown = request("GET", RECEPTION).json

        assert field_refused(request("PUT", "/api/agents/sales", shown)) == "name"
        assert request("PUT", "/api/agents/sales", shown | {"name": None}).status == 200

    def test_of_a_number_can_be_put_back_unchanged(self) -> None:
        request("PUT", RECEPTION, SETTINGS)
        request("PUT", NUMBER, {"agent": "reception"})
        shown = request("GET", NUMBER).json

        assert set(shown) == set(NumberResource.model_fields)
        assert request("PUT", NUMBER, shown).json == shown
        assert field_refused(request("PUT", "/api/numbers/+15550101", shown)) == "number"

    def test_keeps_no_secret_for_another_server(self) -> None:
        request("PUT", RECEPTION, {"tools": [BOOK]})
        [tool] = request("GET", RECEPTION).json["tools"]

        moved = request("PUT", RECEPTION, {"tools": [tool | {"url": "https://else.example/"}]})
        renamed = request("PUT", RECEPTION, {"tools": [tool | {"name": "cancel"}]})
        other_path = request("PUT", RECEPTION, {"tools": [tool | {"url": BOOK["url"] + "/v2"}]})

        assert field_refused(moved) == "tools.0.headers.Authorization"
        assert field_refused(renamed) == "tools.0.headers.Authorization"
        assert other_path.status == 200


def test_the_agents_above_set_every_field_there_is() -> None:
    """A new field of an agent must be added to the agents above. Otherwise nothing tests that it
    can be sent back."""
    set_fields = set().union(*(fields_set_in(NamedAgent(**each)) for each in EVERY_FIELD))

    assert {cls.__name__ for cls, _ in set_fields} >= {
        "FunctionSettings",
        "McpSettings",
        "TransferTarget",
    }
    for cls in {cls for cls, _ in set_fields} - {NamedAgent}:
        assert {name for each, name in set_fields if each is cls} == set(cls.model_fields), cls
    of_agent = {name for each, name in set_fields if each is NamedAgent}
    assert of_agent == set(AgentSettings.model_fields)


class TestAgents:
    def test_are_listed_by_name_page_by_page(self) -> None:
        for name in ("sales", "night", "reception"):
            request("PUT", f"/api/agents/{name}", SETTINGS)

        first = request("GET", "/api/agents", query={"limit": "2"}).json
        second = request("GET", "/api/agents", query={"cursor": first["cursor"]}).json

        assert [each["name"] for each in first["agents"]] == ["night", "reception"]
        assert [each["name"] for each in second["agents"]] == ["sales"]
        assert second["cursor"] is None

    @pytest.mark.without_table
    @pytest.mark.parametrize("listed", ["agents", "numbers"])
    @pytest.mark.parametrize("cursor", ["", "nonsense", "reception", "+15550100", "%%%", "x" * 500])
    def test_by_a_cursor_that_no_list_gave_are_refused(self, listed: str, cursor: str) -> None:
        refused = request("GET", f"/api/{listed}", query={"cursor": cursor})

        assert field_refused(refused) == "cursor"

    def test_are_none_at_first(self) -> None:
        assert request("GET", "/api/agents").json == {"agents": [], "cursor": None}

    def test_are_deleted(self) -> None:
        request("PUT", RECEPTION, SETTINGS)

        assert request("DELETE", RECEPTION).status == 204
        assert request("GET", RECEPTION).status == 404

    def test_stay_while_a_number_needs_them(self) -> None:
        request("PUT", RECEPTION, SETTINGS)
        request("PUT", NUMBER, {"agent": "reception"})

        refused = request("DELETE", RECEPTION)

        assert (refused.status, refused.error["code"]) == (409, "agent_in_use")
        assert "+15550100" in refused.error["message"]
        assert request("DELETE", NUMBER).status == 204
        assert request("DELETE", RECEPTION).status == 204


class TestANumber:
    @pytest.mark.parametrize("plus", ["+", "%2B"])
    def test_is_answered_by_the_agent_it_was_given(self, plus: str) -> None:
        request("PUT", RECEPTION, SETTINGS)

        put = request("PUT", f"/api/numbers/{plus}15550100", {"agent": "reception"})

        assert put.status == 200
        assert (put.json["number"], put.json["agent"]) == ("+15550100", "reception")
        assert request("GET", NUMBER).json == put.json
        assert request("GET", "/api/numbers").json == {"numbers": [put.json], "cursor": None}

    def test_is_given_to_an_agent_that_is_there(self) -> None:
        assert field_refused(request("PUT", NUMBER, {"agent": "nobody"})) == "agent"

    @pytest.mark.parametrize("number", ["15550100", "+0155", "+1555x", "sip:a@b"])
    def test_is_a_number(self, number: str) -> None:
        refused = request("PUT", f"/api/numbers/{number}", {"agent": "reception"})

        assert field_refused(refused) == "number"

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_that_nobody_answers_is_not_there(self, method: str) -> None:
        missing = request(method, NUMBER)

        assert (missing.status, missing.error["code"]) == (404, "unknown_number")


class TestACall:
    def test_takes_the_agents_settings_and_its_own_win(self, store: DynamoCallStore) -> None:
        request("PUT", RECEPTION, SETTINGS)

        created = call_of(agent="reception", voice="marin", metadata={"order": "1042"})

        assert created.status == 201
        assert store.config(created.json["call_id"]) == CallConfig(
            agent="reception",
            instructions="You answer for a dental practice.",
            voice="marin",
            greeting="Good morning!",
            turn_detection=TurnDetection(silence_duration_ms=300),
            idle_timeout_seconds=10,
            metadata={"order": "1042"},
        )
        record = request("GET", f"/api/ai-calls/{created.json['call_id']}").json
        assert record["agent"] == "reception"

    def test_takes_every_setting_as_if_it_had_been_told_itself(
        self, store: DynamoCallStore
    ) -> None:
        everything: dict[str, Any] = {
            "instructions": "You answer for a dental practice.",
            "voice": "cedar",
            "greeting": "Good morning!",
            "language": "de-CH",
            "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
            "max_duration_seconds": 60,
            "idle_timeout_seconds": 10,
            "idle_prompts": 1,
            "machine_detection": {"mode": "leave_message", "message": "Call us back."},
            "record": True,
            "record_dtmf": False,
            "stream_setup": "with_dial",
            "webhook_url": "https://crm.example/calls",
            "tools": ["end_call", {"name": "book", "url": "https://practice.example/book"}],
        }
        request("PUT", RECEPTION, everything)

        by_agent = store.config(call_of(agent="reception").json["call_id"])
        by_itself = store.config(call_of(**everything).json["call_id"])

        assert by_agent
        assert replace(by_agent, agent=None) == by_itself

    def test_keeps_them_when_the_agent_changes(self, store: DynamoCallStore) -> None:
        request("PUT", RECEPTION, SETTINGS)
        call_id = call_of(agent="reception").json["call_id"]
        request("PUT", RECEPTION, {"greeting": "Good evening!"})

        config = store.config(call_id)
        assert config
        assert config.greeting == "Good morning!"

    def test_that_would_ask_a_silent_caller_twice_is_refused(self, telnyx: RecordedTelnyx) -> None:
        request("PUT", RECEPTION, {"idle_timeout_seconds": 10})
        impatient = {"type": "server_vad", "idle_timeout_ms": 6000}

        refused = call_of(agent="reception", turn_detection=impatient)

        assert field_refused(refused) == "idle_timeout_seconds"
        assert telnyx.commands == []

    def test_of_an_unknown_agent_is_refused(self, telnyx: RecordedTelnyx) -> None:
        assert field_refused(call_of(agent="nobody")) == "agent"
        assert telnyx.commands == []

    def test_lasts_no_longer_than_the_operator_allows_now(
        self, store: DynamoCallStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request("PUT", RECEPTION, {"max_duration_seconds": 3_000})
        monkeypatch.setenv("MAX_CALL_MINUTES", "10")
        services.control_plane.cache_clear()

        config = store.config(call_of(agent="reception").json["call_id"])

        assert config
        assert config.max_duration_seconds == 600


def test_an_answer_without_content_has_none() -> None:
    request("PUT", RECEPTION, {})
    answered = ai_calls.handler(api_event("DELETE", RECEPTION), None)
    assert (answered["statusCode"], "body" in answered) == (204, False)
