"""The WebSocket to the model's server."""

import asyncio
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from picows import WSError, WSInvalidURL, ws_connect

from media_bridge.websocket import WebSocket
from phonebridge.errors import ModelError
from phonebridge.settings import MediaSettings

CONNECT_SECONDS = 5.0
ATTEMPTS = 2
PAUSE_SECONDS = 0.3
PING_SECONDS = 20.0
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


async def open_session(settings: MediaSettings, socket: WebSocket) -> None:
    """Connect `socket`, whose callbacks are set. Key and model are judged after the upgrade: a
    refusal comes as `error` and a close. Raises `ModelUnreachable`."""
    url = session_url(settings.openai_realtime_url, settings.openai_model)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _, listener = await ws_connect(
                lambda: socket,
                url,
                # `OpenAI-Beta` must be absent: the beta shapes are shut off ("Realtime API").
                extra_headers={"Authorization": f"Bearer {settings.openai_api_key}"},
                websocket_handshake_timeout=CONNECT_SECONDS,
                enable_auto_ping=True,
                auto_ping_idle_timeout=PING_SECONDS,
                auto_ping_reply_timeout=PING_SECONDS,
                max_frame_size=LARGEST_EVENT_BYTES,
                max_redirects=0,  # the key is for this server
            )
            if listener is None:  # so picows tells of a connection that ended before its upgrade
                raise WSError("the connection closed before its upgrade")
            return
        except (OSError, TimeoutError, WSError, WSInvalidURL) as error:
            if attempt == ATTEMPTS:
                raise ModelUnreachable(
                    f"no session with {urlsplit(url).netloc}: {error}"
                ) from error
        await asyncio.sleep(PAUSE_SECONDS)
