"""Checks the model: opens a Realtime session, closes it again, and asks when the model shuts down.
Nothing is generated or billed.

The server checks key and model after the upgrade. A refusal is an `error` event and a close
(OpenAI, "Realtime API").
"""

import asyncio
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding, Problem, healthy, not_asked, problem_found
from phonebridge.settings import AuthHeader

TIMEOUT_SECONDS = 10.0
FAULTS = (
    OSError,
    TimeoutError,
    InvalidHandshake,
    InvalidURI,
    ConnectionClosed,
    httpx.InvalidURL,
    ValueError,  # the message is not JSON
)


def check(config: DoctorConfig) -> Iterator[Finding]:
    if not config.openai_api_key:
        yield problem_found(Problem.OPENAI_KEY_MISSING)
        yield not_asked(f"model {config.openai_model}")
        return
    try:
        first = asyncio.run(_first_event(config))
    except FAULTS as error:
        yield problem_found(Problem.MODEL_UNREACHABLE, error)
        return
    if first.get("type") == "session.created":
        yield healthy(f"OpenAI API key and model {config.openai_model}")
        yield from _shutdown(config)
        return
    problem = first.get("error") or {}
    message = str(problem.get("message") or first)
    if _is_about_the_key(problem):
        yield problem_found(Problem.OPENAI_KEY_REFUSED, message.rstrip("."))
    else:
        yield problem_found(Problem.MODEL_UNAVAILABLE, message.rstrip("."))


def _shutdown(config: DoctorConfig) -> Iterator[Finding]:
    """Report the `shutdown_date` of the model (OpenAI, "Retrieve model"). Compatible servers may
    not have this route."""
    realtime = httpx.URL(config.openai_realtime_url)
    folder, _, last = realtime.path.rpartition("/")
    model = realtime.params.get("model", config.openai_model)
    scheme = {"wss": "https", "ws": "http"}.get(realtime.scheme)
    if last != "realtime" or scheme is None:
        return
    url = realtime.copy_with(scheme=scheme, path=f"{folder}/models/{model}", query=None)
    if day := _shutdown_date(url, config):
        yield problem_found(Problem.MODEL_SHUTDOWN, f"{model} on {day}")


def _shutdown_date(url: httpx.URL, config: DoctorConfig) -> str:
    try:
        answer = httpx.get(url, headers=_credentials(config), timeout=TIMEOUT_SECONDS)
        described = answer.json() if answer.status_code == HTTPStatus.OK else {}
    except (httpx.HTTPError, ValueError):
        return ""
    date = described.get("shutdown_date") if isinstance(described, dict) else None
    return date if isinstance(date, str) else ""


def _credentials(config: DoctorConfig) -> dict[str, str]:
    key = config.openai_api_key
    by_api_key = config.openai_auth_header == AuthHeader.API_KEY
    return {"api-key": key} if by_api_key else {"Authorization": f"Bearer {key}"}


async def _first_event(config: DoctorConfig) -> dict[str, Any]:
    url = httpx.URL(config.openai_realtime_url)
    url = url if "model" in url.params else url.copy_add_param("model", config.openai_model)
    async with connect(
        str(url),
        additional_headers=_credentials(config),
        open_timeout=TIMEOUT_SECONDS,
        close_timeout=TIMEOUT_SECONDS,
    ) as socket:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            event: dict[str, Any] = json.loads(await socket.recv())
        return event


def _is_about_the_key(problem: dict[str, Any]) -> bool:
    code = str(problem.get("code"))
    return code == "invalid_api_key" or "authentication" in str(problem.get("message")).lower()
