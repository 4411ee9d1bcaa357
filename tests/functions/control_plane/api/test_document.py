"""The OpenAPI document says what the server does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

import ai_calls
from aws.template import load_template
from phonebridge import __version__
from tests.support.api_events import api_event, read_answer

GATEWAY = {"$ref": "#/components/schemas/GatewayError"}
OURS = {"$ref": "#/components/schemas/ErrorResponse"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    answer = read_answer(ai_calls.handler(api_event("GET", "/api/openapi.json"), None))
    assert answer.status == 200
    return dict(answer.json)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["info"]["version"] == __version__


def test_it_describes_every_route_of_the_template_and_no_other(document: dict[str, Any]) -> None:
    events = load_template().properties("AiCallsFunction")["Events"].values()
    routes = {f"{e['Properties']['Method']} {e['Properties']['Path']}" for e in events}

    assert {name for name, _ in operations(document)} == routes - {"ANY /api/{proxy+}"}


def test_every_operation_has_an_id_of_its_own_and_a_summary(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]

    assert len(set(ids)) == len(ids)
    assert [each for each in ids if not each.isidentifier()] == []
    assert all(operation["summary"] for _, operation in operations(document))


def test_every_field_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    undescribed = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, of_field in schema.get("properties", {}).items()
        if not of_field.get("description")
    ]
    assert undescribed == []
    assert [
        name for name, each in schemas.items() if "properties" in each and not has_text(each)
    ] == []


def has_text(schema: dict[str, Any]) -> bool:
    return bool(schema.get("description"))


def test_every_parameter_and_answer_is_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert all(map(has_text, operation.get("parameters", ()))), name
        assert all(map(has_text, operation["responses"].values())), name


def test_names_are_in_snake_case(document: dict[str, Any]) -> None:
    fields = {
        field
        for schema in document["components"]["schemas"].values()
        for field in schema.get("properties", ())
    }
    in_paths = {part for path in document["paths"] for part in path.split("/") if "{" in part}

    assert [each for each in fields if each != each.lower()] == []
    assert in_paths == {"{call_id}", "{name}", "{number}"}


@pytest.mark.parametrize(
    ("operation_id", "statuses"),
    [
        ("create_call", {201, 400, 401, 403, 409, 413, 422, 429, 500, 502, 503}),
        ("list_calls", {200, 401, 403, 422, 429, 500, 503}),
        ("get_call", {200, 401, 403, 404, 405, 422, 429, 500, 503}),
        ("hangup", {200, 202, 400, 401, 403, 404, 413, 422, 429, 500, 502, 503}),
        ("say", {202, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503}),
        ("dtmf", {202, 400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503}),
        ("put_agent", {200, 400, 401, 403, 413, 422, 429, 500, 503}),
        ("delete_agent", {204, 401, 403, 404, 409, 422, 429, 500, 503}),
    ],
)
def test_it_names_every_status_of_a_route(
    document: dict[str, Any], operation_id: str, statuses: set[int]
) -> None:
    [found] = [each for _, each in operations(document) if each["operationId"] == operation_id]
    assert set(map(int, found["responses"])) == statuses


def test_errors_have_our_shape_or_the_gateways(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status < "400":
                continue
            schema = answer["content"]["application/json"]["schema"]
            expected = {
                "401": [GATEWAY],
                "403": [OURS, GATEWAY],
                "413": [GATEWAY],
                "429": [OURS, GATEWAY],
                "500": [OURS, GATEWAY],
                "503": [OURS, GATEWAY],
            }.get(status, [OURS])
            assert schema.get("anyOf", [schema]) == expected, (name, status)


def test_an_answer_without_content_documents_none(document: dict[str, Any]) -> None:
    deleted = [each for _, each in operations(document) if "204" in each["responses"]]
    assert len(deleted) == 2
    assert [each for each in deleted if "content" in each["responses"]["204"]] == []


def test_no_null_is_offered_where_it_is_refused(document: dict[str, Any]) -> None:
    """A body or parameter is left out, never null."""
    for name, operation in operations(document):
        bodies = operation.get("requestBody", {}).get("content", {})
        schemas = [each["schema"] for each in (*operation.get("parameters", ()), *bodies.values())]
        assert "null" not in json.dumps(schemas), name


def test_a_default_is_told_in_words(document: dict[str, Any]) -> None:
    """Generators for TypeScript take a field with a default for one that must be sent."""
    schemas = document["components"]["schemas"]
    fields = [field for each in schemas.values() for field in each.get("properties", {}).values()]

    assert [field for field in fields if "default" in field] == []
    assert "Default: `250`." in schemas["DtmfRequest"]["properties"]["duration_ms"]["description"]


def test_what_is_read_is_what_can_be_put(document: dict[str, Any]) -> None:
    for path in ("/api/agents/{name}", "/api/numbers/{number}"):
        get, put = document["paths"][path]["get"], document["paths"][path]["put"]
        read = get["responses"]["200"]["content"]["application/json"]["schema"]
        assert put["requestBody"]["content"]["application/json"]["schema"] == read
        assert put["responses"]["200"]["content"]["application/json"]["schema"] == read
