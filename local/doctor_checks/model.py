"""Checks the model: opens a Realtime session and closes it again. Nothing is generated or billed.

The server checks key and model after the upgrade. A refusal is an `error` event and a close
(OpenAI, "Realtime API").
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding, Problem, healthy, problem_found
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
        return
    try:
        first = asyncio.run(_first_event(config))
    except FAULTS as error:
        yield problem_found(Problem.MODEL_UNREACHABLE, error)
        return
    if first.get("type") == "session.created":
        yield healthy(f"OpenAI API key and model {config.openai_model}")
        return
    problem = first.get("error") or {}
    message = str(problem.get("message") or first)
    if _is_about_the_key(problem):
        yield problem_found(Problem.OPENAI_KEY_REFUSED, message.rstrip("."))
    else:
        yield problem_found(Problem.MODEL_UNAVAILABLE, message.rstrip("."))


async def _first_event(config: DoctorConfig) -> dict[str, Any]:
    url = httpx.URL(config.openai_realtime_url)
    url = url if "model" in url.params else url.copy_add_param("model", config.openai_model)
    key = config.openai_api_key
    by_api_key = config.openai_auth_header == AuthHeader.API_KEY
    headers = {"api-key": key} if by_api_key else {"Authorization": f"Bearer {key}"}
    async with connect(
        str(url),
        additional_headers=headers,
        open_timeout=TIMEOUT_SECONDS,
        close_timeout=TIMEOUT_SECONDS,
    ) as socket:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            event: dict[str, Any] = json.loads(await socket.recv())
        return event


def _is_about_the_key(problem: dict[str, Any]) -> bool:
    code = str(problem.get("code"))
    return code == "invalid_api_key" or "authentication" in str(problem.get("message")).lower()
