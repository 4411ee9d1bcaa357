"""Settings of each process: read once from an environment that is passed in; whatever is missing
or bad is named in one error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from phonebridge.errors import NotConfigured

T = TypeVar("T")

DEFAULT_TELNYX_API = "https://api.telnyx.com/v2"
DEFAULT_REALTIME_URL = "wss://api.openai.com/v1/realtime"
DEFAULT_MODEL = "gpt-realtime-2.1-mini"

# The names that the message of a missing key uses.
_PEOPLES_NAMES = {"OPENAI_API_KEY": "OpenAI API key", "TELNYX_API_KEY": "Telnyx API key"}


class ModelAudio(StrEnum):
    """What the model hears and speaks: PCM16 at 24 kHz, or the phone line's own G.711."""

    PCM24K = "pcm24k"
    G711 = "g711"


class ByteOrder(StrEnum):
    """Of a sample of L16 on the media stream."""

    BIG = "big"
    """The network's (RFC 3551 4.5.11)."""
    LITTLE = "little"


class AuthHeader(StrEnum):
    """Where the model's server looks for the key."""

    AUTHORIZATION = "authorization"
    """With the word Bearer before it."""
    API_KEY = "api-key"
    """As Azure OpenAI does."""


class SessionAck(StrEnum):
    """Whether the model's server confirms a session's settings."""

    REQUIRED = "required"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Settings of the Lambdas."""

    calls_table: str
    base_public_url: str
    """Where Telnyx reaches the webhooks, without a trailing slash."""
    media_public_url: str
    """ws or wss base of the media container, without a trailing slash."""
    telnyx_api_base: str
    telnyx_api_key: str
    telnyx_public_key: str
    """Base64 of the account's raw Ed25519 public key."""
    telnyx_connection_id: str
    telnyx_from_number: str
    stream_token_secret: str
    openai_api_key: str
    """The Lambdas only look whether there is one; the media container uses it."""
    openai_realtime_url: str
    model_audio: ModelAudio
    """The Lambdas only look whether a codec goes with it; the media container uses it."""
    max_call_minutes: int
    recordings_bucket: str
    recordings_queue_url: str
    """Where copies of recordings are asked for; empty: they are left where the carrier has them."""
    outcomes_queue_url: str
    outcome_webhook_url: str
    """Who is told the end of calls that name nobody themselves; empty: nobody."""
    outcome_webhook_secret: str
    """Without one of its own it is derived from the secret of the stream tokens."""
    tool_hosts_allowed: frozenset[tuple[str, int]]
    """As in `MediaSettings`; they may be told outcomes too."""
    telnyx_minute_price: float | None
    """US dollars for a minute of a call, where the carrier tells no charge (`call.cost`)."""
    metrics_namespace: str
    """Of CloudWatch; another one for each stack, or their figures would add up. Empty: none are
    told."""

    @staticmethod
    def from_env(environ: Mapping[str, str]) -> "ControlSettings":
        """Provider keys may be missing: what can be done without them still works, and
        `require` refuses the rest."""
        read = _Reader(environ)
        base = read.url("BASE_PUBLIC_URL", ("http", "https"))
        settings = ControlSettings(
            calls_table=read.text("CALLS_TABLE"),
            base_public_url=base,
            media_public_url=read.url("MEDIA_PUBLIC_URL", ("ws", "wss"), _as_websocket(base)),
            telnyx_api_base=read.url("TELNYX_API_BASE", ("http", "https"), DEFAULT_TELNYX_API),
            telnyx_api_key=read.key("TELNYX_API_KEY", ""),
            telnyx_public_key=read.text("TELNYX_PUBLIC_KEY", ""),
            telnyx_connection_id=read.text("TELNYX_CONNECTION_ID", ""),
            telnyx_from_number=read.text("TELNYX_FROM_NUMBER", ""),
            stream_token_secret=read.text("STREAM_TOKEN_SECRET", ""),
            openai_api_key=read.key("OPENAI_API_KEY", ""),
            openai_realtime_url=read.url(
                "OPENAI_REALTIME_URL", ("ws", "wss"), DEFAULT_REALTIME_URL
            ),
            model_audio=read.choice("MODEL_AUDIO", ModelAudio, ModelAudio.PCM24K),
            max_call_minutes=read.integer("MAX_CALL_MINUTES", 55, 1, 55),
            recordings_bucket=read.text("RECORDINGS_BUCKET", ""),
            recordings_queue_url=read.text("RECORDINGS_QUEUE_URL", ""),
            outcomes_queue_url=read.text("OUTCOMES_QUEUE_URL", ""),
            outcome_webhook_url=read.url("OUTCOME_WEBHOOK_URL", ("http", "https"), ""),
            outcome_webhook_secret=read.text("OUTCOME_WEBHOOK_SECRET", ""),
            tool_hosts_allowed=read.hosts("TOOL_HOSTS_ALLOWED"),
            telnyx_minute_price=read.price("TELNYX_MINUTE_PRICE"),
            metrics_namespace=read.text("METRICS_NAMESPACE", ""),
        )
        read.raise_problems()
        return settings

    def require_dialing(self) -> None:
        """Raise `NotConfigured`, naming every setting without which no call can be placed."""
        self._require(
            OPENAI_API_KEY=self.openai_api_key,
            TELNYX_API_KEY=self.telnyx_api_key,
            TELNYX_CONNECTION_ID=self.telnyx_connection_id,
            STREAM_TOKEN_SECRET=self.stream_token_secret,
        )

    def require_webhooks(self) -> None:
        """Raise `NotConfigured` unless webhooks can be verified and acted upon."""
        self._require(
            TELNYX_PUBLIC_KEY=self.telnyx_public_key,
            TELNYX_API_KEY=self.telnyx_api_key,
            STREAM_TOKEN_SECRET=self.stream_token_secret,
        )

    @staticmethod
    def _require(**values: str) -> None:
        missing = [_PEOPLES_NAMES.get(name, name) for name, value in values.items() if not value]
        if missing:
            raise NotConfigured(f"{', '.join(missing)} not configured")


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Settings of the media container."""

    calls_table: str
    media_public_url: str
    """Where Telnyx reaches this container, to open a stream anew; empty where nobody said."""
    base_public_url: str
    """Where Telnyx reaches the webhooks: those of a transfer's target too."""
    stream_token_secret: str
    telnyx_api_base: str
    telnyx_api_key: str
    telnyx_connection_id: str
    """To dial the target of a warm transfer."""
    openai_api_key: str
    openai_realtime_url: str
    openai_model: str
    openai_auth_header: AuthHeader
    openai_session_ack: SessionAck
    model_audio: ModelAudio
    l16_byte_order: ByteOrder
    """Of calls with HD voice."""
    max_calls_per_task: int
    max_call_minutes: int
    metrics_namespace: str
    """Of CloudWatch; another one for each stack, or their figures would add up. Empty: none are
    told."""
    tool_signing_secret: str
    """Empty: one that is derived from the stream token's."""
    tool_hosts_allowed: frozenset[tuple[str, int]]
    """Host and port of tools that may have any address, and be reached by plain HTTP."""

    @staticmethod
    def from_env(environ: Mapping[str, str]) -> "MediaSettings":
        read = _Reader(environ)
        base = read.url("BASE_PUBLIC_URL", ("http", "https"), "")
        settings = MediaSettings(
            calls_table=read.text("CALLS_TABLE"),
            media_public_url=read.url("MEDIA_PUBLIC_URL", ("ws", "wss"), _as_websocket(base)),
            base_public_url=base,
            stream_token_secret=read.text("STREAM_TOKEN_SECRET"),
            telnyx_api_base=read.url("TELNYX_API_BASE", ("http", "https"), DEFAULT_TELNYX_API),
            telnyx_api_key=read.key("TELNYX_API_KEY"),
            telnyx_connection_id=read.text("TELNYX_CONNECTION_ID", ""),
            openai_api_key=read.key("OPENAI_API_KEY"),
            openai_realtime_url=read.url(
                "OPENAI_REALTIME_URL", ("ws", "wss"), DEFAULT_REALTIME_URL
            ),
            openai_model=read.text("OPENAI_MODEL", DEFAULT_MODEL),
            openai_auth_header=read.choice(
                "OPENAI_AUTH_HEADER", AuthHeader, AuthHeader.AUTHORIZATION
            ),
            openai_session_ack=read.choice("OPENAI_SESSION_ACK", SessionAck, SessionAck.REQUIRED),
            model_audio=read.choice("MODEL_AUDIO", ModelAudio, ModelAudio.PCM24K),
            l16_byte_order=read.choice("L16_BYTE_ORDER", ByteOrder, ByteOrder.BIG),
            max_calls_per_task=read.integer("MAX_CALLS_PER_TASK", 40, 1, 1000),
            max_call_minutes=read.integer("MAX_CALL_MINUTES", 55, 1, 55),
            metrics_namespace=read.text("METRICS_NAMESPACE", ""),
            tool_signing_secret=read.text("TOOL_SIGNING_SECRET", ""),
            tool_hosts_allowed=read.hosts("TOOL_HOSTS_ALLOWED"),
        )
        read.raise_problems()
        return settings


class _Reader:
    """Reads one name after the other and keeps what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def raise_problems(self) -> None:
        if self._problems:
            raise NotConfigured("; ".join(self._problems))

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(name, "").strip()
        if not value and default is None:
            self._problems.append(f"{_PEOPLES_NAMES.get(name, name)} not configured")
        return value or default or ""

    def key(self, name: str, default: str | None = None) -> str:
        """One that is sent in a header. Its value is never told."""
        value = self.text(name, default)
        if not fits_header(value) or " " in value:
            self._problems.append(
                f"{name} has characters that no HTTP header can carry, such as a space or the "
                "dash of a word processor; copy the key again"
            )
        return value

    def url(self, name: str, schemes: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(name, default)
        if value and not _is_url(value, schemes):
            self._problems.append(f"{name} must be a {' or '.join(schemes)} URL, not {value!r}")
        return value.rstrip("/")

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        def parse(text: str) -> int:
            number = int(text)
            if not low <= number <= high:
                raise ValueError
            return number

        return self._parsed(name, default, parse, f"a whole number from {low} to {high}")

    def price(self, name: str) -> float | None:
        def parse(text: str) -> float | None:
            amount = float(text)
            if not 0 <= amount < 100:
                raise ValueError
            return amount

        return self._parsed(name, None, parse, "an amount such as 0.007")

    def choice(self, name: str, kind: Callable[[str], T], default: T) -> T:
        choices = ", ".join(str(choice) for choice in type(default))  # type: ignore[attr-defined]
        return self._parsed(name, default, kind, f"one of {choices}")

    def hosts(self, name: str) -> frozenset[tuple[str, int]]:
        nothing: frozenset[tuple[str, int]] = frozenset()
        return self._parsed(
            name, nothing, _hosts, "a list such as 127.0.0.1:8000,tools.internal:80"
        )

    def _parsed(self, name: str, default: T, parse: Callable[[str], T], wanted: str) -> T:
        text = self.text(name, "")
        if not text:
            return default
        try:
            return parse(text)
        except ValueError:
            self._problems.append(f"{name} must be {wanted}, not {text!r}")
            return default


def fits_header(value: str) -> bool:
    """Whether an HTTP header can carry it unchanged (RFC 9110, 5.5)."""
    return value.isascii() and value.isprintable()


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _hosts(text: str) -> frozenset[tuple[str, int]]:
    return frozenset(_host_and_port(entry.strip()) for entry in text.split(","))


def _host_and_port(entry: str) -> tuple[str, int]:
    parts = urlsplit(f"//{entry}")
    if not (parts.hostname and parts.port) or parts.netloc != entry or "@" in entry:
        raise ValueError
    return parts.hostname, parts.port


def _as_websocket(url: str) -> str:
    return "ws" + url.removeprefix("http") if url.startswith("http") else url
