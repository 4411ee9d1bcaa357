"""API Gateway, EventBridge Scheduler and polled SQS queues on this machine, as template.yaml
defines them. The handlers run in this process.

It has no authorizers, so serve it on the loopback interface only.
"""

import asyncio
import importlib
import logging
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from aws.media_relay import MediaRelay
from aws.payload import event_of, response_of
from aws.queues import MAX_BATCH, EventSource
from aws.template import TEMPLATE, Template, load_template

MAX_BODY_BYTES = 10 * 1024 * 1024  # bytes
INTEGRATION_SECONDS = 30.0
MINUTE_SECONDS = 60.0
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """The part of Lambda's context object that our handlers use."""

    function_name: str
    memory_limit_in_mb: int = 512
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float = field(default_factory=lambda: time.monotonic() + INTEGRATION_SECONDS)

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.monotonic()) * 1000))


@dataclass(frozen=True, slots=True)
class LambdaFunction:
    name: str
    handler: str
    """`module.function`, in a folder on Python's path."""

    async def invoke(self, event: dict[str, Any]) -> object:
        """Run the handler. Raises whatever it raises. After a timeout it continues in its thread,
        as a Lambda does."""
        return await run_sync(self._run, event, abandon_on_cancel=True)

    def _run(self, event: dict[str, Any]) -> object:
        module, _, function = self.handler.rpartition(".")
        return getattr(importlib.import_module(module), function)(event, LambdaContext(self.name))


@dataclass(frozen=True, slots=True)
class ApiRoute:
    method: str
    path: str
    function: LambdaFunction
    is_open: bool
    """True if the route has no authorizer on AWS either."""

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """Return the parameters of a path as it was sent, or None if the path belongs to another
        route."""
        found = re.fullmatch(self._pattern, path) if self.method in (method, "ANY") else None
        return {name: unquote(text) for name, text in found.groupdict().items()} if found else None

    @property
    def is_greedy(self) -> bool:
        """Whether the last parameter, such as `{proxy+}`, matches the whole rest of a path."""
        return self.path.endswith("+}")

    @property
    def _pattern(self) -> str:
        one_part = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        return re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.+)", one_part)


def create_app(
    media_urls: Sequence[str],
    template_path: Path = TEMPLATE,
    integration_seconds: float = INTEGRATION_SECONDS,
    local_routes: Sequence[Route] = (),
) -> Starlette:
    """Build the application. `media_urls` are the ws addresses of the media containers.

    The handlers are those beside the template. They read their settings from the environment of
    this process.
    """
    sys.path.append(str(template_path.parent / "functions"))
    template = load_template(template_path)
    return Starlette(
        lifespan=partial(_run_events, template),
        routes=[
            WebSocketRoute("/media-bridge/{path:path}", MediaRelay(*media_urls).pass_through),
            Route("/healthz", _healthz),
            *local_routes,
            Route("/{path:path}", HttpApi(_routes(template), integration_seconds)),
        ],
    )


@asynccontextmanager
async def _run_events(template: Template, app: Starlette) -> AsyncIterator[None]:
    """Invoke the functions with a schedule or a queue while the application runs."""
    scheduled = [function for function, _ in _events(template, "ScheduleV2")]
    queues = [_event_source(function, event) for function, event in _events(template, "SQS")]
    async with asyncio.TaskGroup() as tasks:
        background = [
            *(tasks.create_task(_every_minute(function)) for function in scheduled),
            *(tasks.create_task(queue.poll()) for queue in queues),
        ]
        yield
        for each in background:
            each.cancel()


class HttpApi:
    """An ASGI application, because a Starlette endpoint would not get every method."""

    def __init__(self, routes: list[ApiRoute], integration_seconds: float) -> None:
        self._routes = routes
        self._integration_seconds = integration_seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        for route in self._routes:
            parameters = route.match(request.method, request.scope["raw_path"].decode())
            if parameters is not None:
                if not (route.is_open or is_from_here(request)):
                    return _message(403, "Forbidden")
                body = await _body(request)
                if body is None:
                    return _message(413, "Request Too Long")
                event = event_of(request, body, route.key, parameters)
                return await _integrate(route.function, event, self._integration_seconds)
        return _message(404, "Not Found")


def is_from_here(request: Request) -> bool:
    """Whether a request comes from a program on this machine.

    This port needs no key, and calls cost money. So neither web pages of other sites nor requests
    through the tunnel for webhooks and media may use the API.
    """
    elsewhere = request.headers.get("sec-fetch-site") == "cross-site"
    forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    return request.url.hostname in LOOPBACK_NAMES and not elsewhere and not forwarded


async def _integrate(function: LambdaFunction, event: dict[str, Any], seconds: float) -> Response:
    with anyio.move_on_after(seconds):
        try:
            return response_of(await function.invoke(event))
        except Exception:
            log.exception("%s raised, or returned no response", function.name)
            return _message(500, "Internal Server Error")
    return _message(503, "Service Unavailable")


async def _body(request: Request) -> bytes | None:
    """Read the body. Return None if it is longer than API Gateway accepts."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


async def _every_minute(function: LambdaFunction) -> None:
    while True:
        await asyncio.sleep(MINUTE_SECONDS)
        try:
            await function.invoke({"source": "aws.scheduler", "detail-type": "Scheduled Event"})
        except Exception:
            log.exception("%s raised", function.name)


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok")


def _routes(template: Template) -> list[ApiRoute]:
    """Return the routes, literal paths first and greedy ones last, because API Gateway prefers the
    most specific route."""
    routes = [
        ApiRoute(event["Method"].upper(), event["Path"], function, _is_open(event))
        for function, event in _events(template, "HttpApi")
    ]
    return sorted(routes, key=lambda route: (route.is_greedy, route.path.count("{")))


def _event_source(function: LambdaFunction, event: Mapping[str, Any]) -> EventSource:
    queue = event["Queue"]["Fn::GetAtt"].partition(".")[0]
    return EventSource(queue, function, event.get("BatchSize", MAX_BATCH))


def _is_open(event: Mapping[str, Any]) -> bool:
    return bool(event.get("Auth", {}).get("Authorizer") == "NONE")


def _events(template: Template, kind: str) -> list[tuple[LambdaFunction, Mapping[str, Any]]]:
    return [
        (LambdaFunction(name, resource["Properties"]["Handler"]), event["Properties"])
        for name, resource in template.resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == kind
    ]


def _message(status: int, text: str) -> Response:
    return JSONResponse({"message": text}, status)
