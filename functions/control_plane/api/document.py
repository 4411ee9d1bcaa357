"""The OpenAPI document of the HTTP API: the statuses of each route, and corrections where
Powertools' document does not match the server."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from control_plane.api.responses.calls import ErrorResponse, GatewayError
from phonebridge import __version__

JSON = "application/json"

_DESCRIPTION = """\
Places, watches, steers and ends phone calls in which a speech-to-speech model speaks.

Errors have one shape, `{"error": {"code", "message", "details"}}`. Errors of API Gateway itself
have the shape `{"message"}`. These are 401, 403, 413, 429 for too many requests, 500, 503 after 30
seconds, and 404 for paths outside `/api`. Below `/api`, an unknown path is a 404 and an unsupported
method is a 405 with `Allow`, both in the shape of Phonebridge.
"""

_KEY = "On AWS, every request needs a key or a token. A local stack needs none."
_KEY_MISSING = "The request has no key. This response comes from API Gateway."
_KEY_UNKNOWN = (
    "The key is not valid. This response comes from API Gateway. A local stack sends "
    "it to other machines."
)
_FORBIDDEN = f"{_KEY_UNKNOWN} Or (`destination_not_allowed`) the number may not be called."
_ERRORS: dict[HTTPStatus, tuple[str, Any]] = {
    HTTPStatus.BAD_REQUEST: ("The body is not a JSON object.", ErrorResponse),
    HTTPStatus.UNAUTHORIZED: (_KEY_MISSING, GatewayError),
    HTTPStatus.FORBIDDEN: (_FORBIDDEN, ErrorResponse | GatewayError),
    HTTPStatus.NOT_FOUND: ("Nothing has this name or id.", ErrorResponse),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "The path exists, but not with this method.",
        ErrorResponse,
    ),
    HTTPStatus.CONFLICT: (
        ("The state does not allow this. The message names the state."),
        ErrorResponse,
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "The body is larger than API Gateway accepts (10 MB).",
        GatewayError,
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        ("A field is invalid. `details` lists all invalid fields."),
        ErrorResponse,
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        (
            "Too many requests. `at_capacity`: no container has room for another call. "
            "`limit_reached`: the operator's limit of calls or minutes is reached."
        ),
        ErrorResponse | GatewayError,
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("An internal error.", ErrorResponse | GatewayError),
    HTTPStatus.BAD_GATEWAY: (
        "Telnyx refused the request or did not answer. `details` has its code and title.",
        ErrorResponse,
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "A setting is missing; the message names it. Or the request took longer than 30 seconds.",
        ErrorResponse | GatewayError,
    ),
}
_ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
WITH_BODY = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""Statuses of routes that take a body."""

_HEADERS: dict[HTTPStatus, dict[str, Any]] = {
    HTTPStatus.CREATED: {
        "Idempotency-Replayed": {
            "description": "`true` if an earlier request with this key placed the call.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    },
    HTTPStatus.METHOD_NOT_ALLOWED: {
        "Allow": {
            "description": "The methods that the path accepts.",
            "required": True,
            "schema": {"type": "string"},
        }
    },
    HTTPStatus.TOO_MANY_REQUESTS: {
        "Retry-After": {
            "description": (
                "Seconds to wait before a retry, with `at_capacity` and `limit_reached`."
            ),
            "schema": {"type": "integer"},
        }
    },
}


def responses_of(success: dict[int, str], *errors: HTTPStatus) -> dict[int, Any]:
    """Return the responses of a route: its own type on success, or else one of the two error
    shapes."""
    refusals = {
        status.value: {"description": what, "content": {JSON: {"model": model}}}
        for status, (what, model) in _ERRORS.items()
        if status in (*errors, *_ALWAYS)
    }
    answers: dict[int, Any] = {
        status: {"description": what} for status, what in success.items()
    } | refusals
    for status, headers in _HEADERS.items():
        if status in answers:
            answers[status]["headers"] = headers
    return answers


def document(app: APIGatewayHttpResolver) -> dict[str, Any]:
    # The models of the whole specification, for this document alone.
    from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer

    found: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title="Phonebridge",
            version=__version__,
            description=_DESCRIPTION,
            security_schemes={"bearerKey": HTTPBearer(description=_KEY)},
            security=[{"bearerKey": []}, {}],
        )
    )
    for operation in _operations(found):
        _correct(operation)
    for schema in found["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            _describe_default(field)
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        del found["components"]["schemas"][unused]
    return found


def _operations(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for path in found["paths"].values() for operation in path.values())


def _correct(operation: dict[str, Any]) -> None:
    """Correct an operation. A 204 has no content. Parameters and bodies are omitted rather than
    null."""
    operation["responses"].get("204", {}).pop("content", None)
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
    if body := operation.get("requestBody"):
        content = body["content"][JSON]
        content["schema"] = _without_null(content["schema"])


def _describe_default(field: dict[str, Any]) -> None:
    """Mention the default in the description instead. Generators for TypeScript treat a field with
    a default as required."""
    if "default" in field:
        default = json.dumps(field.pop("default"))
        field["description"] = f"{field['description']} Default: `{default}`."


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    if {"type": "null"} not in schema.get("anyOf", ()):
        return schema
    [given] = (each for each in schema["anyOf"] if each != {"type": "null"})
    # What surrounds a reference to a body says nothing that the body itself does not.
    around = {} if "$ref" in given else {k: v for k, v in schema.items() if k != "anyOf"}
    return {**around, **given}
