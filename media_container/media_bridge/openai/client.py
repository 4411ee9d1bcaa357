"""The WebSocket to the model's server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from phonebridge.errors import ModelError
from phonebridge.settings import MediaSettings

CONNECT_SECONDS = 5.0
ATTEMPTS = 2
PAUSE_SECONDS = 0.3
LARGEST_EVENT_BYTES = 16 * 1024 * 1024
"""A server event may carry seconds of audio."""


class ModelUnreachable(ModelError):
    """No WebSocket to the model's server could be opened."""


def session_url(base: str, model: str) -> str:
    """The server's URL with `model` in its query, unless the query names one already."""
    parts = urlsplit(base)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.setdefault("model", model)
    return urlunsplit(parts._replace(query=urlencode(query)))


@asynccontextmanager
async def open_session(settings: MediaSettings) -> AsyncIterator[ClientConnection]:
    """Key and model are judged after the upgrade: a refusal comes as `error` and a close. Raises
    `ModelUnreachable`."""
    connection = await _connect(settings)
    try:
        yield connection
    finally:
        await connection.close()


async def _connect(settings: MediaSettings) -> ClientConnection:
    url = session_url(settings.openai_realtime_url, settings.openai_model)
    # `OpenAI-Beta` must be absent: the beta shapes are shut off (OpenAI, "Realtime API").
    headers = {"Authorization": f"Bearer {settings.openai_api_key}"}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await connect(
                url,
                additional_headers=headers,
                compression=None,
                open_timeout=CONNECT_SECONDS,
                max_size=LARGEST_EVENT_BYTES,
                close_timeout=1,
            )
        except (OSError, TimeoutError, InvalidHandshake) as error:
            if attempt == ATTEMPTS:
                raise ModelUnreachable(
                    f"no session with {urlsplit(url).netloc}: {error}"
                ) from error
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable: the last attempt returns or raises")
