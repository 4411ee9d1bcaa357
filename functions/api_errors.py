"""Errors of the HTTP API: which exception is answered with which status and code, in one shape."""

import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from api_answers import ErrorAnswer, ErrorBody, FieldProblem, ProviderRefusal
from fields import InvalidField
from phonebridge.errors import (
    AgentInUse,
    AtCapacity,
    Conflict,
    DialFailed,
    InvalidTransition,
    KeyReused,
    NotConfigured,
    PhonebridgeError,
    TelnyxRefused,
    TelnyxUnreachable,
    TooLarge,
    UnknownAgent,
    UnknownCall,
    UnknownNumber,
    Unreadable,
    WrongState,
)
from tool_settings import TOOL_TAGS

_STATUS_AND_CODE: dict[type[Exception], tuple[HTTPStatus, str]] = {
    Unreadable: (HTTPStatus.BAD_REQUEST, "unreadable"),
    UnicodeDecodeError: (HTTPStatus.BAD_REQUEST, "unreadable"),
    binascii.Error: (HTTPStatus.BAD_REQUEST, "unreadable"),
    UnknownCall: (HTTPStatus.NOT_FOUND, "unknown_call"),
    UnknownAgent: (HTTPStatus.NOT_FOUND, "unknown_agent"),
    UnknownNumber: (HTTPStatus.NOT_FOUND, "unknown_number"),
    NotFoundError: (HTTPStatus.NOT_FOUND, "unknown_route"),
    WrongState: (HTTPStatus.CONFLICT, "wrong_state"),
    AgentInUse: (HTTPStatus.CONFLICT, "agent_in_use"),
    InvalidTransition: (HTTPStatus.CONFLICT, "wrong_state"),
    Conflict: (HTTPStatus.CONFLICT, "conflict"),
    KeyReused: (HTTPStatus.CONFLICT, "idempotency_key_reused"),
    RequestValidationError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_field"),
    InvalidField: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_field"),
    TooLarge: (HTTPStatus.UNPROCESSABLE_ENTITY, "too_large"),
    AtCapacity: (HTTPStatus.TOO_MANY_REQUESTS, "at_capacity"),
    TelnyxRefused: (HTTPStatus.BAD_GATEWAY, "provider_refused"),
    TelnyxUnreachable: (HTTPStatus.BAD_GATEWAY, "provider_unreachable"),
    DialFailed: (HTTPStatus.BAD_GATEWAY, "dial_failed"),
    NotConfigured: (HTTPStatus.SERVICE_UNAVAILABLE, "not_configured"),
}
_INTERNAL = (HTTPStatus.INTERNAL_SERVER_ERROR, "internal")

# What Pydantic puts into a field's place, though no sender wrote it: members of a union, and that
# it is the name of a field which is wrong.
_NOT_WRITTEN = ("server_vad", "semantic_vad", *TOOL_TAGS, "[key]")

_IF_TELNYX_IS_SILENT = (
    "Try again in a minute; if it stays so, see whether TELNYX_API_BASE is right and can be "
    "reached from here."
)
_NO_UNICODE = "must be Unicode text, without lone surrogates"


def refusal(error: Exception, call_id: str | None) -> tuple[HTTPStatus, ErrorAnswer]:
    """Status and body; `call_id` is the call that a request was about or had begun."""
    if isinstance(error, RequestValidationError) and _is_without_body(error):
        error = Unreadable("The body must be a JSON object; there was none.")
    kinds = (kind for kind in type(error).__mro__ if kind in _STATUS_AND_CODE)
    kind = next(kinds, None)
    status, code = _STATUS_AND_CODE[kind] if kind else _INTERNAL
    body = ErrorBody(code=code, message=_message(error), details=_details(error, call_id))
    return status, ErrorAnswer(error=body)


def _message(error: Exception) -> str:
    match error:
        case RequestValidationError():
            return "; ".join(f"{p.field}: {p.problem}" for p in _field_problems(error))
        case UnicodeDecodeError() | binascii.Error():
            return "The body is not UTF-8."
        case NotFoundError():
            return "There is no such route."
        case TelnyxUnreachable():
            # Not in the error itself: the model is told of it too, and reads it to the caller.
            return f"{error} {_IF_TELNYX_IS_SILENT}"
        case PhonebridgeError():
            return str(error)
        case _:
            return "Something went wrong on our side; the logs tell what."


def _details(error: Exception, call_id: str | None) -> list[FieldProblem] | ProviderRefusal | None:
    match error:
        case RequestValidationError():
            return _field_problems(error)
        case InvalidField(field=field, problem=problem):
            return [FieldProblem(field=field, problem=problem)]
        case TelnyxRefused(code=code, title=title):
            return ProviderRefusal(provider="telnyx", code=code, title=title, call_id=call_id)
        case TelnyxUnreachable() | DialFailed():
            return ProviderRefusal(provider="telnyx", call_id=call_id)
        case _:
            return None


def _field_problems(error: RequestValidationError) -> list[FieldProblem]:
    return [
        FieldProblem(field=_field(found["loc"]), problem=_problem(found))
        for found in error.errors()
    ]


def _problem(found: Mapping[str, Any]) -> str:
    """Pydantic's words, except where they speak of Python or of regular expressions."""
    match found["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "there is no such field here"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be an object"
        case "union_tag_not_found":
            return "needs a type"
        case "union_tag_invalid":
            return f"must have one of the types {found['ctx']['expected_tags']}"
        case "string_unicode":
            return _NO_UNICODE
        case "value_error":
            error = found["ctx"]["error"]
            return _NO_UNICODE if isinstance(error, UnicodeError) else str(error)
        case "list_type":
            return "must be a list"
        case "date_from_datetime_parsing" | "date_from_datetime_inexact":
            return "must be a date, such as 2026-11-25"
        case _:
            return str(found["msg"])


def _field(place: tuple[Any, ...]) -> str:
    """`turn_detection.threshold` for ("body", "turn_detection", "server_vad", "threshold")."""
    return ".".join(str(part) for part in place[1:] if part not in _NOT_WRITTEN) or "body"


def _is_without_body(error: RequestValidationError) -> bool:
    return any(found["loc"] == ("body",) and found["type"] == "missing" for found in error.errors())
