"""The frame of the API: routes and methods, queries, bodies of every kind, one shape of errors."""

import json
import logging
from typing import Any
from urllib.parse import parse_qsl

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ai_calls
from phonebridge.observability.log import logger
from tests.support.api_events import Answer, api_event, read_answer

pytestmark = pytest.mark.usefixtures("environment")

CREATE = "/api/ai-calls/create"
STATUS = "/api/ai-calls/status"


def request(method: str, path: str, raw_query: str = "", **more: Any) -> Answer:
    event = api_event(method, path, **more) | {"rawQueryString": raw_query}
    return read_answer(ai_calls.handler(event, None))


def send_query(path: str, raw_query: str) -> Answer:
    """Send a query as API Gateway does: decoded, and with repeated names joined by commas."""
    query: dict[str, str] = {}
    for name, text in parse_qsl(raw_query, keep_blank_values=True):
        query[name] = f"{query[name]},{text}" if name in query else text
    event = api_event("GET", path, query=query) | {"rawQueryString": raw_query}
    return read_answer(ai_calls.handler(event, None))


class TestAMethod:
    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("GET", CREATE, "POST"),
            ("PUT", CREATE, "POST"),
            ("DELETE", CREATE, "POST"),
            ("POST", STATUS, "GET"),
            ("PATCH", "/api/ai-calls/call-1", "GET"),
            ("DELETE", "/api/ai-calls/call-1", "GET"),
            ("GET", "/api/ai-calls/call-1/hangup", "POST"),
            ("POST", "/api/ai-calls/call-1/status", "GET"),
            ("POST", "/api/agents/reception", "DELETE, GET, PUT"),
            ("HEAD", "/api/agents", "GET"),
            ("OPTIONS", "/api/numbers/+15550100", "DELETE, GET, PUT"),
            ("POST", "/api/openapi.json", "GET"),
        ],
    )
    def test_that_a_path_does_not_take_is_answered_with_those_it_takes(
        self, method: str, path: str, allow: str
    ) -> None:
        refused = request(method, path)

        assert (refused.status, refused.error["code"]) == (405, "method_not_allowed")
        assert refused.headers["Allow"] == allow
        assert method in refused.error["message"]
        assert allow.partition(",")[0] in refused.error["message"]

    @pytest.mark.parametrize(
        ("path", "suggested"),
        [
            ("/api/ai-call/create", "`/api/ai-calls/create`"),
            ("/api/ai-calls", "`/api/ai-calls/"),
            ("/api/agent", "`/api/agents`"),
            ("/api/ai-calls/call-1/hang-up", "`/api/ai-calls/{call_id}/hangup`"),
        ],
    )
    def test_of_an_unknown_path_is_told_the_nearest_path(self, path: str, suggested: str) -> None:
        refused = request("GET", path)

        assert (refused.status, refused.error["code"]) == (404, "unknown_route")
        assert suggested in refused.error["message"]

    @pytest.mark.parametrize("path", ["/api/" + "x" * 9000, "/api/\udcff", "/api/%2e%2e/create"])
    def test_of_an_odd_path_is_answered(self, path: str) -> None:
        assert request("POST", path).status == 404


class TestAQuery:
    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=1_0", "limit"),
            ("limit=+5", "limit"),
            ("limit=%2B5", "limit"),
            ("limit=%205", "limit"),
            ("limit=5.0", "limit"),
            ("limit=05", "limit"),
            ("limit=", "limit"),
            ("limit=%D9%A5", "limit"),
            ("limit=" + "9" * 5000, "limit"),
            ("limit=1&limit=1", "limit"),
            ("limit=1,2", "limit"),
            ("ended=yes", "ended"),
            ("ended=1", "ended"),
            ("ended=True", "ended"),
            ("ended=true&ended=true", "ended"),
            ("ended=true&day=0", "day"),
            ("ended=true&day=1764547200", "day"),
            ("ended=true&day=2026-11-25T00:00:00", "day"),
            ("ended=true&day=20261125", "day"),
            ("ended=true&day=2026-W48-3", "day"),
            ("ended=true&day=2026-02-30", "day"),
            ("ended=true&day=%D9%A2026-11-25", "day"),
            ("ended=true&day=", "day"),
            ("day=2026-11-25", "day"),
            ("cursor=", "cursor"),
            ("cursor=forged", "cursor"),
            ("cursor=a&cursor=a", "cursor"),
            ("limt=5", "limt"),
            ("Limit=5", "Limit"),
            ("callId=5", "callId"),
            ("=5", ""),
            ("limit[]=5", "limit[]"),
        ],
    )
    def test_is_refused_by_the_parameter_that_is_wrong(self, query: str, parameter: str) -> None:
        refused = send_query(STATUS, query)

        assert (refused.status, refused.error["code"]) == (422, "invalid_field")
        assert refused.error["details"][0]["field"] == (parameter or "")

    @pytest.mark.parametrize(
        ("query", "suggestion"),
        [
            ("limt=5", "did you mean `limit`?"),
            ("limit=many", "such as 50"),
            ("ended=yes", "true or false"),
            ("ended=true&day=0", "such as 2026-11-25"),
            ("cursor=forged", "the previous page"),
        ],
    )
    def test_is_told_what_would_be_right(self, query: str, suggestion: str) -> None:
        assert suggestion in send_query(STATUS, query).error["message"]

    @pytest.mark.parametrize("path", ["/api/agents", "/api/numbers"])
    @pytest.mark.parametrize(
        "query", ["limit=1_0", "cursor=forged", "ended=true", "limit=1&limit=2"]
    )
    def test_of_every_list_is_strict(self, path: str, query: str) -> None:
        assert send_query(path, query).status == 422

    @pytest.mark.parametrize("path", ["/api/ai-calls/call-1", "/api/openapi.json"])
    def test_of_a_route_without_parameters_is_refused(self, path: str) -> None:
        refused = send_query(path, "verbose=true")

        assert refused.error["details"][0]["field"] == "verbose"

    @pytest.mark.parametrize("query", ["", "limit=100", "ended=false", "ended=true&day=2026-11-25"])
    def test_that_is_right_is_answered(self, query: str) -> None:
        assert send_query(STATUS, query).status == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("to", "from", "tools", "turn_detection", "metadata", "machine_detection", "temperature")


class TestABody:
    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.dictionaries(st.sampled_from(FIELDS) | st.text(), json_values, max_size=4))
    def test_of_any_json_is_answered_in_one_shape(self, body: dict[str, Any]) -> None:
        refused = request("POST", CREATE, body=json.dumps(body | {"to": None}).encode())

        assert refused.status in (400, 422)
        assert {"code", "message"} <= refused.error.keys() <= {"code", "message", "details"}

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.binary(max_size=60))
    def test_of_any_bytes_is_answered_in_one_shape(self, body: bytes) -> None:
        assert request("POST", CREATE, body=body, as_base64=True).status in (400, 422)

    @pytest.mark.parametrize(
        "body",
        [
            '{"\\ud800": 1, "to": "+15550100"}',
            '{"metadata": {"\\udfff": "x"}, "to": "+15550100"}',
            '{"metadata": {"x": "\\ud83d"}, "to": "+15550100"}',
            '{"tools": ["\\ud800"], "to": "+15550100"}',
            '{"tools": [{"name": "a", "url": "https://x.example", "headers": {"\\ud800": "x"}}]}',
            '{"turn_detection": {"type": "\\ud800"}, "to": "+15550100"}',
            '{"%s": 1, "to": "+15550100"}' % ("x" * 100_000),
            '{"voice": "%s", "to": "+15550100"}' % ("marin" * 100_000),
            '{"speed": 1%s, "to": "+15550100"}' % ("0" * 90),
            '{"max_output_tokens": 1e300, "to": "+15550100"}',
            '{"metadata": %s, "to": "+15550100"}' % ('{"a":' * 200 + "1" + "}" * 200),
        ],
        ids=lambda body: body[:40],
    )
    def test_with_what_no_field_can_hold_names_the_field(self, body: str) -> None:
        refused = request("POST", CREATE, body=body.encode())

        assert (refused.status, refused.error["code"]) == (422, "invalid_field")
        assert len(json.dumps(refused.json)) < 2_000

    @pytest.mark.parametrize(
        "kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/xml", "\u00e9"]
    )
    def test_is_read_as_json_whatever_it_is_called(self, kind: str) -> None:
        body = b'{"to": "nobody"}'
        refused = request("POST", CREATE, body=body, headers={"content-type": kind})

        assert refused.error["details"][0]["field"] == "to"

    def test_of_null_is_none(self) -> None:
        assert request("POST", "/api/ai-calls/call-1/mute", body=b"null").status == 400


def test_the_log_of_a_cold_start_holds_our_own_lines_only(caplog: pytest.LogCaptureFixture) -> None:
    logger("control-plane")
    with caplog.at_level(logging.INFO):  # as Lambda sets the root logger
        boto3.Session(aws_access_key_id="a", aws_secret_access_key="b").client("dynamodb")
        boto3.Session().client("sqs")

    assert [line for line in caplog.records if line.name.startswith("boto")] == []
