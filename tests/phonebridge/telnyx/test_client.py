import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from phonebridge.call import Call, Direction, Leg
from phonebridge.call_commands import Dial, HangUp
from phonebridge.call_config import CallConfig
from phonebridge.errors import NotConfigured, TelnyxRefused, TelnyxUnreachable
from phonebridge.telnyx.call_control import Line
from phonebridge.telnyx.client import PAUSES_SECONDS, TIMEOUT, TelnyxClient
from support.patience import PATIENCE_SECONDS

CALL = Call(
    call_id="call-1",
    direction=Direction.OUTBOUND,
    to="+15550123",
    from_="+15550100",
    created_at_ms=0,
    leg=Leg("v3:leg"),
)
LINE = Line("connection-1", "https://phonebridge.example", "wss://phonebridge.example", "secret")
SHORT = urllib3.Timeout(connect=1, read=0.05)

NO_HEADERS: Mapping[str, str] = {}
OK = json.dumps({"data": {"result": "ok"}}).encode()
DIALED = json.dumps(
    {
        "data": {
            "record_type": "call",
            "call_control_id": "v3:new",
            "call_leg_id": "leg-1",
            "call_session_id": "session-1",
            "is_alive": False,
        }
    }
).encode()
ALREADY_ENDED = json.dumps(
    {"errors": [{"code": "90018", "title": "Call has already ended", "detail": "Too late."}]}
).encode()
FAULT = json.dumps({"errors": [{"code": "10007", "title": "Unexpected error"}]}).encode()
TOO_MANY = json.dumps({"errors": [{"code": "10011", "title": "Too many requests"}]}).encode()


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = OK
    headers: Mapping[str, str] = field(default_factory=dict)


class Silence:
    """The server takes the request and never answers."""


class Rupture:
    """The server closes the connection instead of answering."""


@dataclass(slots=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: dict[str, object]


class Telnyx:
    """A server that gives one prepared reply after the other."""

    def __init__(self, *replies: Reply | Silence | Rupture) -> None:
        self.requests: list[Request] = []
        self.pauses: list[float] = []
        self._replies = iter(replies)
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @contextmanager
    def running(self) -> Iterator["Telnyx"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v2"

    def client(self, timeout: urllib3.Timeout = TIMEOUT) -> TelnyxClient:
        return client(self.api_base, self.pauses.append, timeout)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        telnyx = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                telnyx.requests.append(Request(self.path, dict(self.headers), json.loads(body)))
                match next(telnyx._replies):
                    case Reply() as reply:
                        self._answer(reply)
                    case Silence():
                        telnyx._released.wait()
                    case Rupture():
                        pass

            def _answer(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                """Tests speak for themselves."""

        return Handler


def client(
    api_base: str, sleep: Callable[[float], None], timeout: urllib3.Timeout = TIMEOUT
) -> TelnyxClient:
    return TelnyxClient(
        api_base,
        "KEY-test",
        LINE,
        now_ms=lambda: 1_800_000_000_000,
        sleep=sleep,
        timeout=timeout,
    )


def refused(*replies: Reply | Silence | Rupture) -> tuple[TelnyxRefused, Telnyx]:
    with Telnyx(*replies).running() as telnyx, pytest.raises(TelnyxRefused) as refusal:
        telnyx.client().execute(Dial(), CALL, CallConfig())
    return refusal.value, telnyx


def test_a_dial_answers_with_the_new_leg() -> None:
    with Telnyx(Reply(200, DIALED)).running() as telnyx:
        leg = telnyx.client().execute(Dial(), CALL, CallConfig())
    assert leg == Leg("v3:new", "leg-1", "session-1")
    request = telnyx.requests[0]
    assert request.path == "/v2/calls"
    assert request.headers["Authorization"] == "Bearer KEY-test"
    assert request.headers["Content-Type"] == "application/json"
    assert request.body["command_id"] == "call-1"


def test_a_hangup_answers_with_nothing() -> None:
    with Telnyx(Reply(200)).running() as telnyx:
        assert telnyx.client().execute(HangUp(), CALL, CallConfig()) is None
    assert telnyx.requests[0].path == "/v2/calls/v3:leg/actions/hangup"


def test_the_answer_to_a_repeated_dial_may_name_no_leg() -> None:
    with Telnyx(Rupture(), Reply(200, OK)).running() as telnyx:
        assert telnyx.client().execute(Dial(), CALL, CallConfig()) is None


def test_data_and_errors_together_are_an_error() -> None:
    """As a real account without verified numbers was answered."""
    body = {
        "data": {"call_control_id": "v3:new"},
        "errors": [{"code": 10010, "detail": "Only verified numbers, such as +15550123."}],
        "telnyx_error": {"error_code": "D60"},
    }
    error, telnyx = refused(Reply(403, json.dumps(body).encode()))
    assert (error.http_status, error.code) == (403, "10010")
    assert error.title == "Only verified numbers, such as +****0123."
    assert error.detail == "Only verified numbers, such as +****0123. (D60)"
    assert len(telnyx.requests) == 1


def test_errors_are_errors_even_with_status_200() -> None:
    error, _ = refused(Reply(200, FAULT))
    assert (error.http_status, error.code) == (200, "10007")


def test_a_late_command_says_so() -> None:
    error, telnyx = refused(Reply(422, ALREADY_ENDED))
    assert (error.http_status, error.code, error.title) == (
        422,
        "90018",
        "Call has already ended",
    )
    assert error.detail == "Too late."
    assert telnyx.pauses == []


@pytest.mark.parametrize("status", [200, 302, 404, 599])
@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b'{"errors":"all"}'])
def test_an_answer_of_somebody_else_is_a_refusal(status: int, body: bytes) -> None:
    error, telnyx = refused(*[Reply(status, body, {"Location": "/elsewhere"})] * 3)
    assert (error.http_status, error.code) == (status, str(status))
    assert {request.path for request in telnyx.requests} == {"/v2/calls"}


@pytest.mark.parametrize("header", ["Retry-After", "x-ratelimit-reset"])
def test_too_many_requests_wait_as_told(header: str) -> None:
    with Telnyx(Reply(429, TOO_MANY, {header: "1"}), Reply(200, DIALED)).running() as telnyx:
        telnyx.client().execute(Dial(), CALL, CallConfig())
    assert telnyx.pauses == [1.0]


@pytest.mark.parametrize("headers", [{"Retry-After": "2"}, {"x-ratelimit-reset": "60"}])
def test_nobody_waits_for_long(headers: Mapping[str, str]) -> None:
    error, telnyx = refused(Reply(429, TOO_MANY, headers))
    assert (error.http_status, error.code) == (429, "10011")
    assert telnyx.pauses == []


@pytest.mark.parametrize("headers", [NO_HEADERS, {"Retry-After": "Mon, 14 Sep 2026 09:30:00 GMT"}])
def test_a_fault_of_the_carrier_passes(headers: Mapping[str, str]) -> None:
    failing = Reply(500, FAULT, headers)
    with Telnyx(failing, failing, Reply(200, DIALED)).running() as telnyx:
        leg = telnyx.client().execute(Dial(), CALL, CallConfig())
    assert leg is not None
    assert telnyx.pauses == list(PAUSES_SECONDS)
    assert [request.body for request in telnyx.requests] == [telnyx.requests[0].body] * 3


def test_the_rate_window_of_a_fault_is_nothing_to_wait_for() -> None:
    failing = Reply(500, FAULT, {"x-ratelimit-reset": "60"})
    with Telnyx(failing, Reply(200, DIALED)).running() as telnyx:
        telnyx.client().execute(Dial(), CALL, CallConfig())
    assert telnyx.pauses == [PAUSES_SECONDS[0]]


def test_a_fault_that_stays_is_told_in_the_carriers_words() -> None:
    error, telnyx = refused(*[Reply(503, FAULT)] * 3)
    assert (error.http_status, error.code, error.title) == (503, "10007", "Unexpected error")
    assert len(telnyx.requests) == 3


def test_a_lost_connection_is_made_again() -> None:
    with Telnyx(Rupture(), Rupture(), Reply(200, DIALED)).running() as telnyx:
        leg = telnyx.client().execute(Dial(), CALL, CallConfig())
    assert leg == Leg("v3:new", "leg-1", "session-1")


def test_a_silent_carrier_is_unreachable() -> None:
    with Telnyx(*[Silence()] * 3).running() as telnyx:
        impatient = telnyx.client(timeout=SHORT)
        with pytest.raises(TelnyxUnreachable) as error:
            impatient.execute(Dial(), CALL, CallConfig())
    host = telnyx.api_base.removeprefix("http://").removesuffix("/v2")
    assert str(error.value) == (
        f"Telnyx did not answer: {host} took the request, and sent nothing for 0.05 s, "
        "at the last of 3 attempts."
    )
    assert telnyx.pauses == list(PAUSES_SECONDS)


def test_a_carrier_that_breaks_off_is_unreachable() -> None:
    with (
        Telnyx(*[Rupture()] * 3).running() as telnyx,
        pytest.raises(TelnyxUnreachable, match="broke off the connection, at the last of 3"),
    ):
        telnyx.client().execute(HangUp(), CALL, CallConfig())


def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    pauses: list[float] = []
    with pytest.raises(TelnyxUnreachable, match="takes no connection") as error:
        client(f"http://127.0.0.1:{port}/v2", pauses.append).execute(HangUp(), CALL, CallConfig())
    assert "KEY-test" not in str(error.value)
    assert pauses == list(PAUSES_SECONDS)


def test_a_process_without_a_line_can_hang_up_but_not_dial() -> None:
    with Telnyx(Reply(200)).running() as telnyx:
        media = TelnyxClient(telnyx.api_base, "KEY-test", None, now_ms=lambda: 0)
        media.execute(HangUp(), CALL, CallConfig())
        with pytest.raises(NotConfigured):
            media.execute(Dial(), CALL, CallConfig())
    assert len(telnyx.requests) == 1


def test_threads_that_send_at_the_same_time_keep_their_connections() -> None:
    together = threading.Barrier(4)
    ports: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            ports.append(self.client_address[1])
            together.wait(PATIENCE_SECONDS)
            self.send_response(200)
            self.send_header("Content-Length", str(len(OK)))
            self.end_headers()
            self.wfile.write(OK)

        def log_message(self, *_: object) -> None:
            """Tests speak for themselves."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(5) as threads:
        threads.submit(server.serve_forever, 0.01)
        base = f"http://127.0.0.1:{server.server_port}/v2"
        media = TelnyxClient(base, "KEY-test", LINE, now_ms=lambda: 0, max_connections=4)
        for _ in range(3):
            list(threads.map(lambda _: media.execute(HangUp(), CALL, CallConfig()), range(4)))
        server.shutdown()
    assert len(ports) == 12
    assert len(set(ports)) == 4
