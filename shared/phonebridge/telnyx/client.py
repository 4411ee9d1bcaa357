"""Sends the commands of a call to the Telnyx Call Control API. `call_control.py` builds the
requests."""

import math
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

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

from phonebridge.call.call import Call, Leg
from phonebridge.call.commands import CarrierCommand, Dial
from phonebridge.call.config import CallConfig
from phonebridge.call.overdue import LegState
from phonebridge.call.transfer import DialTarget
from phonebridge.errors import TelnyxError, TelnyxRefused, TelnyxUnreachable
from phonebridge.observability.log import mask_numbers
from phonebridge.telnyx import call_control
from phonebridge.telnyx.call_control import CallControlConfig, ControlRequest
from phonebridge.telnyx.refusals import TELLING_CODES, is_passing, is_unknown_leg, was_done_before
from phonebridge.telnyx.tolerant_json import convert, decode, text_of
from phonebridge.telnyx.webhook_payloads import Id, unix_ms

TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)
PAUSES_SECONDS = (0.2, 0.6, 1.2)
"""Pauses before the second, third and fourth attempt. A leg that was just answered is ready after
at most two seconds. All attempts are well within the 60 s in which Telnyx ignores a known
`command_id`."""
MAX_PAUSE_SECONDS = 3.0
"""If Telnyx asks for a longer pause, we give up, because a client waits for the response."""
LAST_ATTEMPT_SECONDS = 6.0
"""No attempt starts later than this after the first one. With `TIMEOUT`, a command takes at most 13
s. So two commands of one webhook (a refused command, then the hangup) fit into a Lambda's 28 s."""
MAX_TITLE_LENGTH = 100
MAX_ERROR_DETAIL_LENGTH = 300


class TelnyxClient:
    """A `ports.Carrier`. It is safe to use from as many threads as it has connections."""

    def __init__(
        self,
        api_base: str,
        api_key: str,
        control: CallControlConfig | None,
        *,
        now_ms: Callable[[], int],
        sleep: Callable[[float], None] = time.sleep,
        timeout: urllib3.Timeout = TIMEOUT,
        max_connections: int = 1,
    ) -> None:
        """`max_connections` is the number of threads that may send commands at the same time."""
        self._api_base = api_base
        self._line = control
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
        """Send a command. Return the new leg if the command dialled one and the response names it.

        The response to a repeated `command_id` may not name it, but the webhooks will.
        """
        request = call_control.request(command, call, config, self._line, self._now_ms())
        answer = self._send(command, request)
        dialled = isinstance(command, Dial | DialTarget)
        return answer.data.leg() if dialled and answer and answer.data else None

    def look_up(self, leg: Leg) -> LegState:
        """Ask Telnyx for the state of the leg, which it knows until ten minutes after its end.
        Raises `TelnyxError` if it does not say. Then nothing may be concluded."""
        path = f"/calls/{quote(leg.call_control_id, safe=':')}"
        try:
            answer = self._request("GET", ControlRequest(path, b""))
        except TelnyxRefused as refusal:
            if is_unknown_leg(refusal):
                return LegState(is_alive=False)
            raise
        except HTTPError as error:
            raise TelnyxUnreachable(self._unreachable(error, 1)) from error
        if answer.data is None or answer.data.is_alive is None:
            raise TelnyxUnreachable("Telnyx answered, but did not say whether the leg is alive.")
        return answer.data.state()

    def _send(self, command: CarrierCommand, request: ControlRequest) -> "_Answer | None":
        """Send with up to four attempts, which is safe because every request has a `command_id`.
        Return None if an earlier attempt succeeded but its response was lost."""
        last_attempt_ms = self._now_ms() + LAST_ATTEMPT_SECONDS * 1000
        for attempt, pause_seconds in enumerate((*PAUSES_SECONDS, math.inf), start=1):
            try:
                return self._request("POST", request)
            except TelnyxRefused as refusal:
                if attempt > 1 and was_done_before(command, refusal):
                    return None
                if not is_passing(command, refusal):
                    raise
                failure: TelnyxError = refusal
                pause_seconds = max(pause_seconds, refusal.retry_after_seconds)
            except HTTPError as error:
                failure = TelnyxUnreachable(self._unreachable(error, attempt))
                failure.__cause__ = error
            next_attempt_ms = self._now_ms() + pause_seconds * 1000
            if pause_seconds > MAX_PAUSE_SECONDS or next_attempt_ms > last_attempt_ms:
                raise failure
            self._sleep(pause_seconds)
        raise AssertionError("the last pause is too long for another attempt")

    def _request(self, method: str, request: ControlRequest) -> "_Answer":
        response = self._pool.request(
            method, self._api_base + request.path, body=request.body or None, redirect=False
        )
        answer = _read(response.data)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES or answer is None or answer.errors:
            raise _refusal(response, answer)
        return answer

    def _unreachable(self, error: HTTPError, attempts: int) -> str:
        host = urlsplit(self._api_base).netloc
        return (
            f"Telnyx did not answer: {host} {_timeout_message(error, self._timeout)}, at the last "
            f"of {attempts} attempts."
        )


def _timeout_message(error: HTTPError, timeout: urllib3.Timeout) -> str:
    match error:
        case NameResolutionError():
            return "has no address"
        case NewConnectionError():
            return "takes no connection"
        case ConnectTimeoutError():
            return f"accepted no connection within {timeout.connect_timeout:g} s"
        case ReadTimeoutError():
            return f"accepted the request, but sent nothing for {timeout.read_timeout:g} s"
        case SSLError():
            return "has no certificate that is trusted here"
        case _:
            return "closed the connection"


class _Leg(msgspec.Struct):
    call_control_id: Id = ""
    call_leg_id: Id = ""
    call_session_id: Id = ""
    is_alive: bool | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None

    def state(self) -> LegState:
        return LegState(bool(self.is_alive), _unix_ms(self.start_time), _unix_ms(self.end_time))

    def leg(self) -> Leg | None:
        if not self.call_control_id:
            return None
        return Leg(self.call_control_id, self.call_leg_id, self.call_session_id)


def _unix_ms(moment: datetime | None) -> int | None:
    return None if moment is None else unix_ms(moment)


class _Error(msgspec.Struct):
    """An error of the API. `code` is documented as text and `title` as required, but a real 403 had
    a number and no title."""

    code: str | int | float = ""
    title: str = ""
    detail: str = ""


class _Explanation(msgspec.Struct):
    error_code: str | int | float = ""
    """The account rule that was broken, such as D60 (only verified numbers may be called)."""


class _Answer(msgspec.Struct):
    """The body of a response. `data` and `errors` can come together. Then it is an error."""

    data: _Leg | None = None
    errors: Any = None
    telnyx_error: _Explanation | None = None


def _read(body: bytes) -> _Answer | None:
    """Parse a response. Return None if it does not come from the API, for example a proxy's
    HTML."""
    try:
        answer, _ = convert(decode(body), _Answer)
    except ValueError:
        return None
    return answer


def _refusal(response: urllib3.BaseHTTPResponse, answer: _Answer | None) -> TelnyxRefused:
    status = response.status
    pause_seconds = _requested_pause_seconds(response)
    error = _most_telling(_errors(answer)) if answer else None
    if answer is None or error is None:
        problem = "the body is no answer of the Call Control API"
        return TelnyxRefused(status, str(status), _phrase(status), problem, pause_seconds)
    title = error.title or error.detail or _phrase(status)
    detail = error.detail or title
    rule = text_of(answer.telnyx_error.error_code) if answer.telnyx_error else ""
    if rule and rule not in detail:
        detail = f"{detail[: MAX_ERROR_DETAIL_LENGTH - 50]} ({rule[:40]})"
    return TelnyxRefused(
        status,
        text_of(error.code)[:MAX_TITLE_LENGTH] or str(status),
        mask_numbers(title)[:MAX_TITLE_LENGTH],
        mask_numbers(detail)[:MAX_ERROR_DETAIL_LENGTH],
        pause_seconds,
    )


def _errors(answer: _Answer) -> list[_Error]:
    found = answer.errors if isinstance(answer.errors, list) else [answer.errors]
    return [convert(each, _Error)[0] for each in found if isinstance(each, dict)]


def _most_telling(errors: list[_Error]) -> _Error | None:
    """Choose the error that decides how we react: first one with a known code, then one with any
    code, then the first."""
    by_code = {text_of(error.code): error for error in reversed(errors)}
    for code in (*TELLING_CODES, *(text_of(error.code) for error in errors)):
        if code and code in by_code:
            return by_code[code]
    return errors[0] if errors else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def _requested_pause_seconds(response: urllib3.BaseHTTPResponse) -> float:
    """Return the requested pause in seconds, or zero for the usual pause.

    Zero is returned if no pause was requested, if it is a date, and for a rate window that ends
    late. Such a window may allow a single command earlier.
    """
    if (wanted := _seconds(response.headers.get("Retry-After"))) is not None:
        return wanted
    if response.status != HTTPStatus.TOO_MANY_REQUESTS:
        return 0.0
    window = _seconds(response.headers.get("x-ratelimit-reset")) or 0.0
    return window if window <= MAX_PAUSE_SECONDS else 0.0


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return None if math.isnan(seconds) else seconds
