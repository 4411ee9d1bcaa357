"""The frame of the HTTP API: one resolver, JSON in and out, errors in one shape."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from api_answers import ErrorAnswer
from api_errors import refusal
from api_requests import read_json_object
from control_plane import control_plane, log
from phonebridge.errors import AtCapacity
from phonebridge.log import call_on_every_line

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


def answer_error(error: Exception) -> Response[str]:
    call_id = app.context.get("call_id") or app.current_event.path_parameters.get("call_id")
    status, answer = refusal(error, call_id)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.exception("request FAILED", call_id=call_id)
    else:
        log.info("request refused", call_id=call_id, status=status, code=answer.error.code)
    body = answer.model_dump_json(by_alias=True, exclude_none=True)
    wait = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, AtCapacity) else {}
    return Response(status, JSON, body, wait)


app.exception_handler(Exception)(answer_error)


def answer(
    status: HTTPStatus, body: Body, headers: Mapping[str, str | list[str]] | None = None
) -> Response[Body]:
    return Response(status, JSON, body, headers)


def documented(success: dict[int, str], *errors: HTTPStatus) -> dict[int, Any]:
    """Answers for the OpenAPI document: the route's own type on success, else the one shape."""
    always = (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    content = {JSON: {"model": ErrorAnswer}}
    refusals = {e.value: {"description": e.phrase, "content": content} for e in (*errors, *always)}
    return {status: {"description": what} for status, what in success.items()} | refusals


@contextmanager
def about(call_id: str) -> Iterator[None]:
    """Errors, log lines and traces of what happens inside name the call."""
    app.context["call_id"] = call_id
    tracer = control_plane().tracer
    with call_on_every_line(log, call_id):
        try:
            with tracer.span(call_id, app.current_event.raw_event["routeKey"]):
                yield
        finally:
            tracer.flush()
