"""Carries a call's commands to the Telnyx Call Control API; `call_control.py` writes them."""

import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from phonebridge.call import Call, Leg
from phonebridge.call_commands import CarrierCommand, Dial
from phonebridge.call_config import CallConfig
from phonebridge.errors import TelnyxRefused, TelnyxUnreachable
from phonebridge.log import mask_numbers
from phonebridge.telnyx import call_control
from phonebridge.telnyx.call_control import ControlRequest, Line
from phonebridge.transfer import DialTarget

TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)
PAUSES_SECONDS = (0.2, 0.6)
"""Before the second and the third attempt: all three lie well within the 60 s in which Telnyx
ignores a `command_id` that it has seen."""
LONGEST_PAUSE_SECONDS = 1.0
"""Who is told to wait longer gives up: somebody waits for the answer."""


class TelnyxClient:
    """A `ports.Carrier`. May be used by several threads."""

    def __init__(
        self,
        api_base: str,
        api_key: str,
        line: Line | None,
        *,
        now_ms: Callable[[], int],
        sleep: Callable[[float], None] = time.sleep,
        timeout: urllib3.Timeout = TIMEOUT,
        max_connections: int = 1,
    ) -> None:
        """`max_connections` is how many threads may send commands at the same time."""
        self._api_base = api_base
        self._line = line
        self._now_ms = now_ms
        self._sleep = sleep
        self._timeout = timeout
        self._pool = urllib3.PoolManager(
            timeout=timeout,
            retries=False,
            maxsize=max_connections,
            headers={"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
        )

    def execute(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        """The leg, when the command dialled one and the answer names it: the answer to a repeated
        `command_id` may not, but webhooks will."""
        request = call_control.request(command, call, config, self._line, self._now_ms())
        response = self._send(request)
        answer = _read(response.data)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES or answer is None or answer.errors:
            raise _refusal(response.status, answer)
        dialled = isinstance(command, Dial | DialTarget)
        return answer.data.leg() if dialled and answer.data else None

    def _send(self, request: ControlRequest) -> urllib3.BaseHTTPResponse:
        """With up to three attempts: every request bears a `command_id`."""
        for pause_seconds in PAUSES_SECONDS:
            try:
                response = self._post(request)
            except HTTPError:
                self._sleep(pause_seconds)
                continue
            pause_seconds = max(pause_seconds, _requested_pause_seconds(response))
            if not _is_passing(response.status) or pause_seconds > LONGEST_PAUSE_SECONDS:
                return response
            self._sleep(pause_seconds)
        try:
            return self._post(request)
        except HTTPError as error:
            raise TelnyxUnreachable(self._unreachable(error)) from error

    def _post(self, request: ControlRequest) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "POST", self._api_base + request.path, body=request.body, redirect=False
        )

    def _unreachable(self, error: HTTPError) -> str:
        host = urlsplit(self._api_base).netloc
        attempts = len(PAUSES_SECONDS) + 1
        return (
            f"Telnyx did not answer: {host} {_silence(error, self._timeout)}, at the last of "
            f"{attempts} attempts."
        )


def _silence(error: HTTPError, timeout: urllib3.Timeout) -> str:
    match error:
        case NameResolutionError():
            return "has no address"
        case NewConnectionError():
            return "takes no connection"
        case ConnectTimeoutError():
            return f"took no connection within {timeout.connect_timeout:g} s"
        case ReadTimeoutError():
            return f"took the request, and sent nothing for {timeout.read_timeout:g} s"
        case SSLError():
            return "has no certificate that is trusted here"
        case _:
            return "broke off the connection"


class _Leg(msgspec.Struct):
    call_control_id: str | None = None
    call_leg_id: str | None = None
    call_session_id: str | None = None

    def leg(self) -> Leg | None:
        if not self.call_control_id:
            return None
        return Leg(self.call_control_id, self.call_leg_id or "", self.call_session_id or "")


class _Error(msgspec.Struct):
    """Documented with a title and a code of text; a real 403 came without title and with a
    number."""

    code: str | int = ""
    title: str | None = None
    detail: str | None = None


class _Explanation(msgspec.Struct):
    error_code: str | None = None
    """Which rule of the account was broken, such as D60: only verified numbers."""


class _Answer(msgspec.Struct):
    """`data` and `errors` may come together; then it is an error."""

    data: _Leg | None = None
    errors: list[_Error] | None = None
    telnyx_error: _Explanation | None = None


def _read(body: bytes) -> _Answer | None:
    """None for what is no answer of the API, such as a proxy's HTML."""
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (ValueError, RecursionError):
        return None


def _refusal(status: int, answer: _Answer | None) -> TelnyxRefused:
    if answer is None or not answer.errors:
        return TelnyxRefused(
            status, str(status), _phrase(status), "the body is no answer of the Call Control API"
        )
    first = answer.errors[0]
    title = first.title or first.detail or _phrase(status)
    detail = first.detail or title
    rule = answer.telnyx_error.error_code if answer.telnyx_error else None
    if rule and rule not in detail:
        detail = f"{detail} ({rule})"
    return TelnyxRefused(status, str(first.code), mask_numbers(title), mask_numbers(detail))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def _is_passing(status: int) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _requested_pause_seconds(response: urllib3.BaseHTTPResponse) -> float:
    wanted = response.headers.get("Retry-After")
    if wanted is None and response.status == HTTPStatus.TOO_MANY_REQUESTS:
        wanted = response.headers.get("x-ratelimit-reset")
    try:
        return float(wanted or 0)
    except ValueError:
        return 0  # Retry-After may be a date: the usual pause will do
