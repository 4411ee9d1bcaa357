import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from phonebridge.call.call import Call, Direction, Leg
from phonebridge.call.commands import (
    Answer,
    CarrierCommand,
    Dial,
    HangUp,
    SendDigits,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.config import CallConfig
from phonebridge.call.transfer import BridgeLegs, SpeakSummary, TransferAttempt, TransferLeg
from phonebridge.errors import NotConfigured, TelnyxRefused, TelnyxUnreachable
from phonebridge.telnyx.call_control import CallControlConfig
from phonebridge.telnyx.client import (
    LAST_ATTEMPT_SECONDS,
    MAX_PAUSE_SECONDS,
    PAUSES_SECONDS,
    TelnyxClient,
)
from tests.support.served import QuietHandler, served
from tests.support.waiting import TIMEOUT_SECONDS

CALL = Call(
    call_id="call-1",
    direction=Direction.OUTBOUND,
    to="+15550123",
    from_="+15550100",
    created_at_ms=0,
    leg=Leg("v3:leg"),
)
ATTEMPTS = len(PAUSES_SECONDS) + 1
LINE = CallControlConfig(
    "connection-1", "https://phonebridge.example", "wss://phonebridge.example", "secret"
)
TRANSFERRING = replace(
    CALL,
    transfer=TransferAttempt(number=1, to="+15550142", summary="A caller.", target="v3:target"),
)
SHORT = urllib3.Timeout(connect=1, read=0.05)
PATIENT = urllib3.Timeout(TIMEOUT_SECONDS)
"""A timeout for servers that answer, even on a slow machine."""

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
    """The server accepts the request and never answers."""


class Rupture:
    """The server closes the connection instead of answering."""


@dataclass(slots=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: dict[str, object]


class Telnyx:
    """A server that sends one prepared reply after the other."""

    def __init__(self, *replies: Reply | Silence | Rupture) -> None:
        self.requests: list[Request] = []
        self.pauses: list[float] = []
        self.before_answer: Callable[[], object] = lambda: None
        self._replies = iter(replies)
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @contextmanager
    def running(self) -> Iterator["Telnyx"]:
        with served(self._server):
            try:
                yield self
            finally:
                self._released.set()

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v2"

    def client(self, timeout: urllib3.Timeout = PATIENT) -> TelnyxClient:
        return client(self.api_base, self.pauses.append, timeout)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        telnyx = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                telnyx.requests.append(Request(self.path, dict(self.headers), json.loads(body)))
                telnyx.before_answer()
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
                """Log nothing."""

        return Handler


def client(
    api_base: str, sleep: Callable[[float], None], timeout: urllib3.Timeout = PATIENT
) -> TelnyxClient:
    return TelnyxClient(
        api_base,
        "KEY-test",
        LINE,
        now_ms=lambda: 1_800_000_000_000,
        sleep=sleep,
        timeout=timeout,
    )


def refused_dial(*replies: Reply | Silence | Rupture) -> tuple[TelnyxRefused, Telnyx]:
    return refused_command(Dial(), *replies)


def refused_command(
    command: CarrierCommand, *replies: Reply | Silence | Rupture
) -> tuple[TelnyxRefused, Telnyx]:
    with Telnyx(*replies).running() as telnyx, pytest.raises(TelnyxRefused) as refusal:
        telnyx.client().execute(command, TRANSFERRING, CallConfig())
    return refusal.value, telnyx


def refusal(status: int, *codes: object, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
    errors = [{"code": code, "title": f"Error {code}"} for code in codes]
    return Reply(status, json.dumps({"errors": errors}).encode(), headers)


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
    """The response of a real account without verified numbers."""
    body = {
        "data": {"call_control_id": "v3:new"},
        "errors": [{"code": 10010, "detail": "Only verified numbers, such as +15550123."}],
        "telnyx_error": {"error_code": "D60"},
    }
    error, telnyx = refused_dial(Reply(403, json.dumps(body).encode()))
    assert (error.http_status, error.code) == (403, "10010")
    assert error.title == "Only verified numbers, such as +****0123."
    assert error.detail == "Only verified numbers, such as +****0123. (D60)"
    assert len(telnyx.requests) == 1


def test_errors_are_errors_even_with_status_200() -> None:
    error, _ = refused_dial(Reply(200, FAULT))
    assert (error.http_status, error.code) == (200, "10007")


def test_a_late_command_says_so() -> None:
    error, telnyx = refused_dial(Reply(422, ALREADY_ENDED))
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
    error, telnyx = refused_dial(*[Reply(status, body, {"Location": "/elsewhere"})] * ATTEMPTS)
    assert (error.http_status, error.code) == (status, str(status))
    assert {request.path for request in telnyx.requests} == {"/v2/calls"}


@pytest.mark.parametrize("header", ["Retry-After", "x-ratelimit-reset"])
@pytest.mark.parametrize("seconds", ["1", "2.5", str(MAX_PAUSE_SECONDS)])
def test_too_many_requests_wait_as_told(header: str, seconds: str) -> None:
    with Telnyx(Reply(429, TOO_MANY, {header: seconds}), Reply(200, DIALED)).running() as telnyx:
        telnyx.client().execute(Dial(), CALL, CallConfig())
    assert telnyx.pauses == [float(seconds)]


@pytest.mark.parametrize("seconds", ["3.1", "60", "inf"])
def test_nobody_waits_for_long(seconds: str) -> None:
    error, telnyx = refused_dial(Reply(429, TOO_MANY, {"Retry-After": seconds}))
    assert (error.http_status, error.code) == (429, "10011")
    assert telnyx.pauses == []


def test_a_long_rate_window_is_tried_in_between() -> None:
    full = Reply(429, TOO_MANY, {"x-ratelimit-reset": "60"})
    with Telnyx(full, full, Reply(200)).running() as telnyx:
        telnyx.client().execute(Answer(), CALL, CallConfig())
    assert telnyx.pauses == list(PAUSES_SECONDS[:2])


def test_no_attempt_begins_when_the_time_is_over() -> None:
    """The Lambda that waits has its own timeout."""
    now_ms = 0

    def sleep(seconds: float) -> None:
        nonlocal now_ms
        now_ms += round(seconds * 1000)

    with Telnyx(*[Reply(429, TOO_MANY, {"Retry-After": "2.5"})] * 4).running() as telnyx:
        patient = TelnyxClient(telnyx.api_base, "KEY", LINE, now_ms=lambda: now_ms, sleep=sleep)
        with pytest.raises(TelnyxRefused):
            patient.execute(Answer(), CALL, CallConfig())
    assert len(telnyx.requests) == 3
    assert now_ms <= LAST_ATTEMPT_SECONDS * 1000


@pytest.mark.parametrize(
    "headers",
    [
        NO_HEADERS,
        {"Retry-After": "Mon, 14 Sep 2026 09:30:00 GMT"},
        {"Retry-After": "nan"},
        {"Retry-After": "-1"},
        {"Retry-After": ""},
    ],
)
def test_a_fault_of_the_carrier_passes(headers: Mapping[str, str]) -> None:
    failing = Reply(500, FAULT, headers)
    with Telnyx(*[failing] * (ATTEMPTS - 1), Reply(200, DIALED)).running() as telnyx:
        leg = telnyx.client().execute(Dial(), CALL, CallConfig())
    assert leg is not None
    assert telnyx.pauses == list(PAUSES_SECONDS)
    assert [request.body for request in telnyx.requests] == [telnyx.requests[0].body] * ATTEMPTS


def test_the_rate_window_of_a_fault_is_nothing_to_wait_for() -> None:
    failing = Reply(500, FAULT, {"x-ratelimit-reset": "60"})
    with Telnyx(failing, Reply(200, DIALED)).running() as telnyx:
        telnyx.client().execute(Dial(), CALL, CallConfig())
    assert telnyx.pauses == [PAUSES_SECONDS[0]]


def test_a_fault_that_stays_is_told_in_the_carriers_words() -> None:
    error, telnyx = refused_dial(*[Reply(503, FAULT)] * ATTEMPTS)
    assert (error.http_status, error.code, error.title) == (503, "10007", "Unexpected error")
    assert len(telnyx.requests) == ATTEMPTS


def test_a_lost_connection_is_made_again() -> None:
    with Telnyx(Rupture(), Rupture(), Reply(200, DIALED)).running() as telnyx:
        leg = telnyx.client().execute(Dial(), CALL, CallConfig())
    assert leg == Leg("v3:new", "leg-1", "session-1")


def test_a_silent_carrier_is_unreachable() -> None:
    with Telnyx(*[Silence()] * ATTEMPTS).running() as telnyx:
        impatient = telnyx.client(timeout=SHORT)
        with pytest.raises(TelnyxUnreachable) as error:
            impatient.execute(Dial(), CALL, CallConfig())
    host = telnyx.api_base.removeprefix("http://").removesuffix("/v2")
    assert str(error.value) == (
        f"Telnyx did not answer: {host} accepted the request, but sent nothing for 0.05 s, "
        "at the last of 4 attempts."
    )
    assert telnyx.pauses == list(PAUSES_SECONDS)


def test_a_carrier_that_breaks_off_is_unreachable() -> None:
    with (
        Telnyx(*[Rupture()] * ATTEMPTS).running() as telnyx,
        pytest.raises(TelnyxUnreachable, match="closed the connection, at the last of 4"),
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


# Temporary refusals

STREAM, STOP, DIGITS = StartStreaming(1), StopStreaming(1), SendDigits("1", 250)


@pytest.mark.parametrize(
    ("command", "passing"),
    [
        (Dial(), Reply(408, b"")),
        (Answer(), Reply(425, b"")),
        (Answer(), refusal(429, "10011")),
        (Answer(), refusal(409, "10036")),
        (HangUp(), refusal(409)),
        (HangUp(), refusal(502)),
        (STREAM, Reply(504, b"<html>Gateway timeout</html>")),
        (STREAM, refusal(422, "90034")),
        (STREAM, refusal(422, "10036")),
        (DIGITS, refusal(422, 90034)),
        (SpeakSummary(), refusal(422, "90034")),
        (TransferLeg(), refusal(422, "10027")),
        (TransferLeg(), refusal(422)),
        (BridgeLegs(), refusal(422, "90034")),
        (BridgeLegs(), refusal(422, "90015")),
        (BridgeLegs(), refusal(422, "10015")),
        (BridgeLegs(), Reply(422, b"")),
    ],
)
def test_a_passing_refusal_is_tried_again_with_the_same_command_id(
    command: CarrierCommand, passing: Reply
) -> None:
    with Telnyx(passing, passing, Reply(200)).running() as telnyx:
        telnyx.client().execute(command, TRANSFERRING, CallConfig())
    assert telnyx.pauses == list(PAUSES_SECONDS[:2])
    assert len({request.body["command_id"] for request in telnyx.requests}) == 1


@pytest.mark.parametrize(
    ("command", "final"),
    [
        (Dial(), refusal(400, "10015")),
        (Dial(), refusal(401, "10009")),
        (Dial(), refusal(403, "10010")),
        (Dial(), refusal(422, "10011")),
        (Dial(), refusal(422, "10027")),
        (Answer(), refusal(422, "90102")),
        (HangUp(), refusal(404, "10005")),
        (HangUp(), refusal(422, "90018")),
        (STREAM, refusal(422, "90045")),
        (STREAM, refusal(422, "90046")),
        (BridgeLegs(), refusal(422, "90018")),
        (TransferLeg(), refusal(422, "10016")),
        (TransferLeg(), refusal(422, "90041")),
        (TransferLeg(), refusal(403, "10010")),
    ],
)
def test_every_other_refusal_is_final_at_once(command: CarrierCommand, final: Reply) -> None:
    error, telnyx = refused_command(command, final)
    assert error.http_status == final.status
    assert telnyx.pauses == []


@pytest.mark.parametrize(
    "lost", [Rupture(), Reply(502, b""), Reply(408, b"")], ids=["cut", "502", "408"]
)
@pytest.mark.parametrize(
    ("command", "refused_again"),
    [
        (STREAM, refusal(422, "90045")),
        (STREAM, refusal(422, None, 90045)),
        (STOP, refusal(422, "90048")),
        (Dial(), refusal(409, "10012")),
        (Answer(), refusal(422, "10012")),
    ],
)
def test_a_repeated_command_that_had_its_effect_already_is_no_failure(
    command: CarrierCommand, lost: Reply | Rupture, refused_again: Reply
) -> None:
    with Telnyx(lost, refused_again).running() as telnyx:
        assert telnyx.client().execute(command, TRANSFERRING, CallConfig()) is None
    assert len(telnyx.requests) == 2


# Unusual responses


@pytest.mark.parametrize(
    "errors",
    [
        [{"code": "90018", "title": "Call has already ended", "detail": {"reason": "late"}}],
        [{"code": "90018", "title": "Call has already ended"}, {"code": None, "title": None}],
        [{"code": None}, {"code": "90018", "title": "Call has already ended", "source": 7}],
        [{"code": "10015", "title": "Bad"}, {"code": 90018, "title": "Call has already ended"}],
        [{"code": "", "title": []}, 7, "odd", {"code": 90018.0, "title": "Call has already ended"}],
        {"code": "90018", "title": "Call has already ended", "detail": ["late"]},
    ],
    ids=range(6),
)
@pytest.mark.parametrize(
    "beside",
    [{}, {"data": []}, {"data": {"call_control_id": 7}}, {"telnyx_error": "D60"}, {"meta": None}],
    ids=str,
)
def test_telnyxs_code_and_title_survive_whatever_stands_around_them(
    errors: object, beside: dict[str, object]
) -> None:
    body = json.dumps({"errors": errors, **beside}).encode()
    error, _ = refused_dial(Reply(422, body))
    assert (error.code, error.title) == ("90018", "Call has already ended")


def test_a_rule_may_be_a_number() -> None:
    body = {"errors": [{"code": 10010, "title": "Forbidden"}], "telnyx_error": {"error_code": 60}}
    error, _ = refused_dial(Reply(403, json.dumps(body).encode()))
    assert (error.code, error.title, error.detail) == ("10010", "Forbidden", "Forbidden (60)")


@pytest.mark.parametrize("code", [None, "", [], {}, True])
def test_a_refusal_without_a_code_has_its_status(code: object) -> None:
    error, _ = refused_dial(refusal(403, code))
    assert error.code == "403"


def test_what_telnyx_says_is_cut_and_can_be_stored() -> None:
    long = json.dumps({"errors": [{"code": "1", "title": "t\ud800" * 999, "detail": "d" * 99_999}]})
    error, _ = refused_dial(Reply(422, long.encode()))
    assert len(str(error).encode()) < 1_000


@pytest.mark.parametrize("data", [None, [], "leg", {}, {"call_control_id": 7}, {"result": "ok"}])
def test_an_accepted_dial_may_name_its_leg_in_a_strange_way(data: object) -> None:
    with Telnyx(Reply(200, json.dumps({"data": data}).encode())).running() as telnyx:
        assert telnyx.client().execute(Dial(), CALL, CallConfig()) is None


def test_an_accepted_dial_keeps_the_ids_that_can_be_read() -> None:
    data = {"call_control_id": "v3:new", "call_leg_id": [], "call_session_id": "session-1"}
    with Telnyx(Reply(200, json.dumps({"data": data}).encode())).running() as telnyx:
        leg = telnyx.client().execute(Dial(), CALL, CallConfig())
    assert leg == Leg("v3:new", "", "session-1")


# Several threads


def test_a_client_keeps_as_many_connections_as_it_was_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "urllib3")
    threads = 6
    with Telnyx(*[Reply(200)] * threads).running() as telnyx:
        together = threading.Barrier(threads)
        telnyx.before_answer = together.wait
        shared = TelnyxClient(
            telnyx.api_base,
            "KEY-test",
            LINE,
            now_ms=lambda: 0,
            timeout=PATIENT,
            max_connections=threads,
        )
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: shared.execute(HangUp(), CALL, CallConfig()), range(threads)))
    assert caplog.messages == []


def test_threads_that_send_at_the_same_time_keep_their_connections() -> None:
    together = threading.Barrier(4)
    ports: list[int] = []

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            ports.append(self.client_address[1])
            together.wait(TIMEOUT_SECONDS)
            self.send_response(200)
            self.send_header("Content-Length", str(len(OK)))
            self.end_headers()
            self.wfile.write(OK)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(5) as threads:
        threads.submit(server.serve_forever, 0.01)
        base = f"http://127.0.0.1:{server.server_port}/v2"
        media = TelnyxClient(
            base, "KEY-test", LINE, now_ms=lambda: 0, timeout=PATIENT, max_connections=4
        )
        for _ in range(3):
            list(threads.map(lambda _: media.execute(HangUp(), CALL, CallConfig()), range(4)))
        server.shutdown()
    assert len(ports) == 12
    assert len(set(ports)) == 4
