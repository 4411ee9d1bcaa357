"""Is there a model? A Realtime session is opened and closed again; nothing is generated or billed.

Key and model are judged after the upgrade: a refusal comes as an `error` event and a close
(OpenAI, "Realtime API")."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from diagnosis.ailments import Ailment, Finding, ill, well
from diagnosis.subject import Subject
from phonebridge.settings import AuthHeader

PATIENCE_SECONDS = 10.0
FAULTS = (
    OSError,
    TimeoutError,
    InvalidHandshake,
    InvalidURI,
    ConnectionClosed,
    httpx.InvalidURL,
    ValueError,  # of what is no JSON
)


def examine(subject: Subject) -> Iterator[Finding]:
    if not subject.openai_api_key:
        yield ill(Ailment.OPENAI_KEY_MISSING)
        return
    try:
        first = asyncio.run(_first_event(subject))
    except FAULTS as error:
        yield ill(Ailment.MODEL_UNREACHABLE, error)
        return
    if first.get("type") == "session.created":
        yield well(f"OpenAI API key and model {subject.openai_model}")
        return
    problem = first.get("error") or {}
    message = str(problem.get("message") or first)
    if _is_about_the_key(problem):
        yield ill(Ailment.OPENAI_KEY_REFUSED, message.rstrip("."))
    else:
        yield ill(Ailment.MODEL_UNAVAILABLE, message.rstrip("."))


async def _first_event(subject: Subject) -> dict[str, Any]:
    url = httpx.URL(subject.openai_realtime_url)
    url = url if "model" in url.params else url.copy_add_param("model", subject.openai_model)
    key = subject.openai_api_key
    by_api_key = subject.openai_auth_header == AuthHeader.API_KEY
    headers = {"api-key": key} if by_api_key else {"Authorization": f"Bearer {key}"}
    async with connect(
        str(url),
        additional_headers=headers,
        open_timeout=PATIENCE_SECONDS,
        close_timeout=PATIENCE_SECONDS,
    ) as socket:
        async with asyncio.timeout(PATIENCE_SECONDS):
            event: dict[str, Any] = json.loads(await socket.recv())
        return event


def _is_about_the_key(problem: dict[str, Any]) -> bool:
    code = str(problem.get("code"))
    return code == "invalid_api_key" or "authentication" in str(problem.get("message")).lower()
