"""Connects to OpenAI Realtime, or to another server with its protocol."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from picows import WSError, WSHandshakeError, WSInvalidURL, ws_connect

from media_bridge.openai.protocol import RealtimeProtocol
from media_bridge.openai.retry_delay import retry_delay
from media_bridge.runtime.model_port import ModelUnreachable
from media_bridge.runtime.websocket import WebSocket
from phonebridge.call.config import CallConfig
from phonebridge.settings import AuthHeader, MediaSettings

CONNECT_SECONDS = 5.0
PING_SECONDS = 2.5
"""A socket that brings nothing for so long is pinged, and is given up without a pong within the
same time. TCP sends a lost segment again after about 0.2, 0.6 and 1.4 s (RFC 6298; Linux waits at
least 0.2 s)."""
MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A server event may carry seconds of audio."""


@dataclass(frozen=True, slots=True)
class OpenAIRealtime:
    """Connects to the model. The server checks key and model after the upgrade, so a refusal is an
    `error` event and a close."""

    settings: MediaSettings

    def protocol(self, config: CallConfig) -> RealtimeProtocol:
        return RealtimeProtocol(config, self.settings, self.name(config))

    def name(self, config: CallConfig) -> str:
        return config.model or self._query.get("model", self.settings.openai_model)

    def url(self, config: CallConfig) -> str:
        """The address of the server, with its query and the name of the model."""
        parts = urlsplit(self.settings.openai_realtime_url)
        query = self._query | {"model": self.name(config)}
        return urlunsplit(parts._replace(query=urlencode(query)))

    async def connect(self, config: CallConfig, socket: WebSocket) -> None:
        await _connect(self.url(config), self._authorization, socket)

    @property
    def _query(self) -> dict[str, str]:
        query = urlsplit(self.settings.openai_realtime_url).query
        return dict(parse_qsl(query, keep_blank_values=True))

    @property
    def _authorization(self) -> dict[str, str]:
        key = self.settings.openai_api_key
        if self.settings.openai_auth_header is AuthHeader.API_KEY:
            return {"api-key": key}
        return {"Authorization": f"Bearer {key}"}


async def _connect(url: str, authorization: dict[str, str], socket: WebSocket) -> None:
    """Try once. The bridge decides whether it is tried again."""
    try:
        _, listener = await ws_connect(
            lambda: socket,
            url,
            # `OpenAI-Beta` must be absent: the beta shapes are shut off ("Realtime API").
            extra_headers=authorization,
            websocket_handshake_timeout=CONNECT_SECONDS,
            enable_auto_ping=True,
            auto_ping_idle_timeout=PING_SECONDS,
            auto_ping_reply_timeout=PING_SECONDS,
            max_frame_size=MAX_EVENT_BYTES,
            max_redirects=0,  # the key is for this server
        )
    except (OSError, TimeoutError, WSError, WSInvalidURL) as error:
        raise _unreachable(url, error) from error
    if listener is None:  # so picows tells of a connection that ended before its upgrade
        raise _unreachable(url, WSError("the connection closed before its upgrade"))


def _unreachable(url: str, error: Exception) -> ModelUnreachable:
    detail = f"no session with {urlsplit(url).netloc}: {error}"
    response = error.response if isinstance(error, WSHandshakeError) else None
    if response is None:
        return ModelUnreachable(detail)
    seconds = response.headers.get("Retry-After")
    return ModelUnreachable(detail, int(response.status), retry_delay(None, seconds))
