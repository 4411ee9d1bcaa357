"""Serves the HTTP API on a port: the local gateway and the real handlers, with a table in moto and
a recording Telnyx. There is no media plane, so tests put streaming calls into the table."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

import ai_calls
from aws.gateway import create_app
from control_plane import services
from phonebridge.call.call import Call, Leg
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallRequested, DialAccepted, MediaAttached
from phonebridge.storage.call_store import DynamoCallStore
from tests.support.calls import after, outbound_call
from tests.support.recorded_telnyx import LEG, recorded_telnyx

NO_MEDIA = "ws://127.0.0.1:9"
_SETTINGS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "OPENAI_API_KEY": "sk-test",
    "TELNYX_API_KEY": "KEY-test",
    "TELNYX_CONNECTION_ID": "42",
    "TELNYX_FROM_NUMBER": "+15550199",
    "STREAM_TOKEN_SECRET": "stream secret",
}


@dataclass
class ApiServer:
    url: str
    store: DynamoCallStore
    routes: set[str] = field(default_factory=set)
    """Routes that were requested, such as `GET /api/agents`."""

    def streaming_call(self, call_id: str) -> str:
        assert self.store.create(_streaming(call_id), CallConfig())
        return call_id


def _streaming(call_id: str) -> Call:
    leg = Leg(**LEG)
    now_ms = time.time_ns() // 1_000_000
    events = (CallRequested(), DialAccepted(leg), CallAnswered(leg, now_ms))
    return after(outbound_call(call_id), *events, MediaAttached(1, "task-1", now_ms))


@contextmanager
def api_server(
    dynamodb_address: str, table_name: str, store: DynamoCallStore
) -> Iterator[ApiServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with recorded_telnyx() as telnyx, pytest.MonkeyPatch.context() as patch:
        environ = {
            **_SETTINGS,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_address,
            "CALLS_TABLE": table_name,
            "BASE_PUBLIC_URL": url,
            "TELNYX_API_BASE": telnyx.base,
        }
        for name, value in environ.items():
            patch.setenv(name, value)
        services.control_plane.cache_clear()
        server = ApiServer(url, store)
        patch.setattr(ai_calls, "handler", _recorder(server, ai_calls.handler))
        with _serving(listener):
            yield server
        services.control_plane.cache_clear()


def _recorder(server: ApiServer, handler: Any) -> Any:
    def handle(event: dict[str, Any], context: object) -> Any:
        server.routes.add(event["routeKey"])
        return handler(event, context)

    return handle


@contextmanager
def _serving(listener: socket.socket) -> Iterator[None]:
    # Without lifespan, because the schedules and queues of the template are not needed here.
    config = uvicorn.Config(create_app([NO_MEDIA]), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
