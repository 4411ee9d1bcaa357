"""Carries out the functions that a model calls, by requests to the servers of their users."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from aws_lambda_powertools import Logger

from media_bridge.commands import RunFunction
from media_bridge.conversation.tool_batch import error_output
from media_bridge.tool_events import FunctionReturned
from phonebridge.call.tools import HttpsFunction
from phonebridge.errors import UpstreamFailed
from phonebridge.http.connection import HttpResponse
from phonebridge.http.public_client import PublicHttpsClient
from phonebridge.http.signature import sign

MAX_RESPONSE_BYTES = 65_536
MAX_EXPLANATION_LENGTH = 2000
PAUSES_SECONDS = (0.2, 0.6)
"""Pauses before the second and the third attempt, if any is allowed."""


class _Body(msgspec.Struct):
    call_id: str
    tool: str
    tool_call_id: str
    arguments: msgspec.Raw


class ToolRunner:
    def __init__(
        self, secret: str, client: PublicHttpsClient, log: Logger, now_ms: Callable[[], int]
    ) -> None:
        self._secret = secret
        self._client = client
        self._log = log
        self._now_ms = now_ms

    async def run(self, call_id: str, command: RunFunction) -> FunctionReturned:
        """Run a function. Every result is one that the model can speak about."""
        function = command.function
        try:
            async with asyncio.timeout(function.timeout_seconds):
                output = _output(await self._request(command.function, _body(call_id, command)))
        except TimeoutError:
            why = f"The tool did not answer within {function.timeout_seconds:g} seconds."
            return FunctionReturned(command.call_id, error_output(why), ok=False)
        except UpstreamFailed as error:
            return FunctionReturned(command.call_id, error_output(str(error)), ok=False)
        except Exception:  # noqa: BLE001 - the border of a tool: its faults must not end the call
            self._log.exception("tool crashed", call_id=call_id)
            return FunctionReturned(command.call_id, error_output("The tool failed."), ok=False)
        return FunctionReturned(command.call_id, output, ok=True)

    async def _request(self, function: HttpsFunction, body: bytes) -> HttpResponse:
        """Send the request. Only an idempotent one is repeated."""
        for pause_seconds in PAUSES_SECONDS if function.idempotent else ():
            try:
                answer = await self._post(function, body)
            except UpstreamFailed as error:
                if not error.retryable:
                    raise
            else:
                if not _is_retryable(answer.status):
                    return answer
            await asyncio.sleep(pause_seconds)
        return await self._post(function, body)

    async def _post(self, function: HttpsFunction, body: bytes) -> HttpResponse:
        proof = sign(function.secret or self._secret, body, self._now_ms())
        headers = {**function.headers, **proof}
        return await self._client.post(function.url, headers, body, MAX_RESPONSE_BYTES)


def _body(call_id: str, command: RunFunction) -> bytes:
    arguments = msgspec.Raw(command.arguments.encode())
    return msgspec.json.encode(_Body(call_id, command.function.name, command.call_id, arguments))


def _is_retryable(status: int) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _output(answer: HttpResponse) -> str:
    """Return the output for the model. Raises `UpstreamFailed`."""
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        raise UpstreamFailed(f"The tool answered with a redirect ({answer.status}).")
    text = _text(answer)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        explanation = f": {text[:MAX_EXPLANATION_LENGTH]}" if text else ""
        raise UpstreamFailed(f"The tool answered with {answer.status}{explanation}")
    return text or '{"status":"done"}'


def _text(answer: HttpResponse) -> str:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamFailed("The tool's answer is compressed.")
    kind = answer.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    if not (is_json or kind.startswith("text/")):
        raise UpstreamFailed(f"The tool answered with {kind}, not with JSON or text.")
    try:
        text = answer.body.decode()
        if is_json and text:
            msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise UpstreamFailed(
            "The tool's answer is not the JSON or text it claims to be."
        ) from error
    return text
