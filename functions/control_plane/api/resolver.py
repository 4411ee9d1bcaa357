"""The resolver of the HTTP API: JSON in and out, and errors in one shape."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

from control_plane.api.errors import MethodNotAllowed, UnknownRoute, refusal
from control_plane.api.requests.create_call import read_json_object
from control_plane.api.requests.fields import InvalidField, did_you_mean
from control_plane.services import control_plane, log
from phonebridge.errors import AtCapacity, LimitReached
from phonebridge.observability.log import call_on_every_line

JSON = "application/json"

Body = TypeVar("Body")

app = APIGatewayHttpResolver(enable_validation=True, json_body_deserializer=read_json_object)
_one_request = threading.Lock()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    # JSON is all this API reads, whatever its sender calls it: `curl -d` says it is a form.
    headers = {**(event.get("headers") or {}), "content-type": JSON}
    # Powertools keeps the current request on a class. A Lambda works on one at a time anyway; the
    # local gateway has threads.
    with _one_request:
        answered = app.resolve({**event, "headers": headers}, context)
    if answered["statusCode"] == HTTPStatus.NO_CONTENT:
        del answered["body"]  # Powertools writes `null`; a 204 has no content (RFC 9110, 15.3.5)
    return answered


def respond_to_error(error: Exception) -> Response[str]:
    call_id = app.context.get("call_id") or app.current_event.path_parameters.get("call_id")
    status, answer = refusal(error, call_id)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.exception("request FAILED", call_id=call_id)
    else:
        log.info("request refused", call_id=call_id, status=status, code=answer.error.code)
    body = answer.model_dump_json(by_alias=True, exclude_none=True)
    return Response(status, JSON, body, _headers_of(error))


app.exception_handler(Exception)(respond_to_error)


def _headers_of(error: Exception) -> dict[str, str | list[str]]:
    match error:
        case MethodNotAllowed(allowed=allowed):
            return {"Allow": ", ".join(allowed)}
        case AtCapacity() | LimitReached():
            return {"Retry-After": str(error.retry_after_seconds)}
        case _:
            return {}


def check_route_and_query(
    app: APIGatewayHttpResolver, next_middleware: NextMiddleware
) -> Response[Any]:
    """Raise for an unknown path, method or query parameter. A literal path hides templates that
    match it too: `/api/ai-calls/create` is not a call's id."""
    path, method = app.context["_path"], app.current_event.http_method.upper()
    allowed = _methods_at(path)
    if not allowed:
        raise UnknownRoute(path, {each.openapi_path for each in _routes()})
    if method not in allowed:
        raise MethodNotAllowed(method, path, allowed)
    _check_query(app.current_event.raw_event.get("rawQueryString", ""))
    return next_middleware(app)


app.use([check_route_and_query])


def _routes() -> list[Route]:
    return app._static_routes + app._dynamic_routes


def _methods_at(path: str) -> list[str]:
    for routes in (app._static_routes, app._dynamic_routes):
        if methods := {route.method for route in routes if route.rule.match(path)}:
            return sorted(methods)
    return []


def _check_query(query: str) -> None:
    """Raise `InvalidField` for an unknown parameter."""
    known = [field.alias for field in app.context["_route"].dependant.query_params]
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    for name in names:
        if name not in known:
            raise InvalidField(name, f"is no parameter of this route{did_you_mean(name, known)}")
        if names.count(name) > 1:
            raise InvalidField(name, "is given more than once; give it once")


def respond(
    status: HTTPStatus, body: Body, headers: Mapping[str, str | list[str]] | None = None
) -> Response[Body]:
    return Response(status, JSON, body, headers)


def client_of_request() -> str:
    """Return the fingerprint of the key, as the authorizer found it. It is empty locally, where
    only this machine may send requests."""
    found = app.current_event.raw_event["requestContext"].get("authorizer") or {}
    return str((found.get("lambda") or {}).get("client") or "")


@contextmanager
def call_context(call_id: str) -> Iterator[None]:
    """Add the call's id to errors, log lines and traces inside."""
    app.context["call_id"] = call_id
    tracer = control_plane().tracer
    with call_on_every_line(log, call_id):
        try:
            with tracer.span(call_id, app.current_event.raw_event["routeKey"]):
                yield
        finally:
            tracer.flush()
