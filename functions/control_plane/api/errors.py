"""Errors of the HTTP API. One table maps exceptions to statuses and codes, and all have the same
shape."""

import binascii
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from control_plane.api.requests.fields import InvalidField, did_you_mean
from control_plane.api.responses.calls import (
    ErrorBody,
    ErrorResponse,
    FieldProblem,
    ProviderRefusal,
)
from control_plane.api.validation_messages import path_of, problem_of
from phonebridge.errors import (
    AgentInUse,
    AtCapacity,
    Conflict,
    DestinationNotAllowed,
    DialFailed,
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidTransition,
    LimitReached,
    MalformedRequest,
    NotConfigured,
    PhonebridgeError,
    RequestRefused,
    TelnyxRefused,
    TelnyxUnreachable,
    TooLarge,
    UnknownAgent,
    UnknownCall,
    UnknownNumber,
    WrongState,
)

MAX_QUOTED = 100
"""Maximum length of a client's own names in an error message."""


class UnknownRoute(RequestRefused):
    """No route has this path."""

    def __init__(self, path: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no route {path[:MAX_QUOTED]}{did_you_mean(path, known)}")


class MethodNotAllowed(RequestRefused):
    """A route has this path, but not this method."""

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{path[:MAX_QUOTED]} does not take {method}; use {' or '.join(allowed)}.")
        self.allowed = allowed


_STATUS_AND_CODE: dict[type[Exception], tuple[HTTPStatus, str]] = {
    MalformedRequest: (HTTPStatus.BAD_REQUEST, "unreadable"),
    UnicodeDecodeError: (HTTPStatus.BAD_REQUEST, "unreadable"),
    binascii.Error: (HTTPStatus.BAD_REQUEST, "unreadable"),
    DestinationNotAllowed: (HTTPStatus.FORBIDDEN, "destination_not_allowed"),
    UnknownCall: (HTTPStatus.NOT_FOUND, "unknown_call"),
    UnknownAgent: (HTTPStatus.NOT_FOUND, "unknown_agent"),
    UnknownNumber: (HTTPStatus.NOT_FOUND, "unknown_number"),
    UnknownRoute: (HTTPStatus.NOT_FOUND, "unknown_route"),
    MethodNotAllowed: (HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed"),
    WrongState: (HTTPStatus.CONFLICT, "wrong_state"),
    AgentInUse: (HTTPStatus.CONFLICT, "agent_in_use"),
    InvalidTransition: (HTTPStatus.CONFLICT, "wrong_state"),
    Conflict: (HTTPStatus.CONFLICT, "conflict"),
    IdempotencyKeyReused: (HTTPStatus.CONFLICT, "idempotency_key_reused"),
    RequestValidationError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_field"),
    InvalidField: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_field"),
    InvalidCursor: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_field"),
    TooLarge: (HTTPStatus.UNPROCESSABLE_ENTITY, "too_large"),
    LimitReached: (HTTPStatus.TOO_MANY_REQUESTS, "limit_reached"),
    AtCapacity: (HTTPStatus.TOO_MANY_REQUESTS, "at_capacity"),
    TelnyxRefused: (HTTPStatus.BAD_GATEWAY, "provider_refused"),
    TelnyxUnreachable: (HTTPStatus.BAD_GATEWAY, "provider_unreachable"),
    DialFailed: (HTTPStatus.BAD_GATEWAY, "dial_failed"),
    NotConfigured: (HTTPStatus.SERVICE_UNAVAILABLE, "not_configured"),
}
_INTERNAL = (HTTPStatus.INTERNAL_SERVER_ERROR, "internal")

_TELNYX_TIMEOUT_HELP = (
    "Try again in a minute; if it stays so, see whether TELNYX_API_BASE is right and can be "
    "reached from here."
)


def refusal(error: Exception, call_id: str | None) -> tuple[HTTPStatus, ErrorResponse]:
    """Return status and body. `call_id` is the call that the request was about or had created."""
    if isinstance(error, RequestValidationError) and _is_without_body(error):
        error = MalformedRequest("The body must be a JSON object, but there is none.")
    kinds = (kind for kind in type(error).__mro__ if kind in _STATUS_AND_CODE)
    kind = next(kinds, None)
    status, code = _STATUS_AND_CODE[kind] if kind else _INTERNAL
    body = ErrorBody(code=code, message=_unicode(_message(error)), details=_details(error, call_id))
    return status, ErrorResponse(error=body)


def _message(error: Exception) -> str:
    match error:
        case RequestValidationError():
            return "; ".join(f"{p.field}: {p.problem}" for p in _field_problems(error))
        case UnicodeDecodeError() | binascii.Error():
            return "The body is not UTF-8."
        case TelnyxUnreachable():
            # Not part of the error itself, because the model reads that to the caller.
            return f"{error} {_TELNYX_TIMEOUT_HELP}"
        case PhonebridgeError():
            return str(error)
        case _:
            return "Something went wrong on our side; the logs tell what."


def _details(error: Exception, call_id: str | None) -> list[FieldProblem] | ProviderRefusal | None:
    match error:
        case RequestValidationError():
            return _field_problems(error)
        case InvalidField(field=field, problem=problem):
            return [_field_problem(field, problem)]
        case InvalidCursor():
            return [_field_problem("cursor", InvalidCursor.problem)]
        case TelnyxRefused(code=code, title=title):
            return ProviderRefusal(provider="telnyx", code=code, title=title, call_id=call_id)
        case TelnyxUnreachable() | DialFailed():
            return ProviderRefusal(provider="telnyx", call_id=call_id)
        case _:
            return None


def _field_problems(error: RequestValidationError) -> list[FieldProblem]:
    return [_field_problem(path_of(each), problem_of(each)) for each in error.errors()]


def _field_problem(field: str, problem: str) -> FieldProblem:
    """Shorten the field's name, because the client may have chosen it."""
    return FieldProblem(field=_unicode(field[:MAX_QUOTED]), problem=problem)


def _unicode(text: str) -> str:
    """Escape lone surrogates, which JSON can contain but UTF-8 cannot."""
    return text.encode(errors="backslashreplace").decode()


def _is_without_body(error: RequestValidationError) -> bool:
    return any(found["loc"] == ("body",) and found["type"] == "missing" for found in error.errors())
