"""Settings of each process, read once from an environment that is passed in. One error names
everything that is missing or invalid.

A field has the name of its environment variable in lower case. Its annotation says how it is read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, Self, get_type_hints
from urllib.parse import urlsplit

from phonebridge.errors import NotConfigured

DEFAULT_TELNYX_API = "https://api.telnyx.com/v2"
DEFAULT_REALTIME_URL = "wss://api.openai.com/v1/realtime"
DEFAULT_MODEL = "gpt-realtime-2.1-mini"

# The names that the error about a missing key uses.
_DISPLAY_NAMES = {"OPENAI_API_KEY": "OpenAI API key", "TELNYX_API_KEY": "Telnyx API key"}


class ModelAudio(StrEnum):
    """The audio format of the model session: PCM16 at 24 kHz, or the phone line's own G.711."""

    PCM24K = "pcm24k"
    G711 = "g711"


class ByteOrder(StrEnum):
    """Byte order of L16 samples on the media stream."""

    BIG = "big"
    """Network byte order (RFC 3551, 4.5.11)."""
    LITTLE = "little"


class AuthHeader(StrEnum):
    """The HTTP header in which the model's server expects the key."""

    AUTHORIZATION = "authorization"
    """The key follows the word Bearer."""
    API_KEY = "api-key"
    """The header of Azure OpenAI."""


class SessionAck(StrEnum):
    """Whether the model's server confirms the settings of a session."""

    REQUIRED = "required"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class _Setting:
    """How a field is read."""

    parse: Callable[[str], object]
    """It parses the text of the variable. Raises `ValueError`."""
    refusal: str
    """The error message if `parse` raised, with `{name}` and `{text!r}`."""
    default: Callable[[Mapping[str, str]], object] | None
    """Computes the default. None means that the setting is required."""

    def read(self, name: str, environ: Mapping[str, str]) -> object:
        text = environ.get(name, "").strip()
        if text:
            try:
                return self.parse(text)
            except ValueError:
                raise NotConfigured(self.refusal.format(name=name, text=text)) from None
        if self.default is None:
            raise NotConfigured(f"{_DISPLAY_NAMES.get(name, name)} not configured")
        return self.default(environ)


def _must_be(wanted: str) -> str:
    return f"{{name}} must be {wanted}, not {{text!r}}"


def _text(default: str | None = None) -> _Setting:
    return _Setting(str, "", None if default is None else lambda _: default)


def _key(default: str | None = None) -> _Setting:
    """A secret that is sent in an HTTP header. Errors never show its value."""

    def parse(text: str) -> str:
        if not fits_header(text) or " " in text:
            raise ValueError
        return text

    refusal = (
        "{name} has characters that no HTTP header can carry (only visible ASCII may be in "
        "it, no space, no dash or quote of a word processor): copy it again"
    )
    return _Setting(parse, refusal, _text(default).default)


def _url(
    *schemes: str, default: str | Callable[[Mapping[str, str]], str] | None = None
) -> _Setting:
    def parse(text: str) -> str:
        if not _is_url(text, schemes):
            raise ValueError
        return text.rstrip("/")

    otherwise = default if callable(default) else _text(default).default
    return _Setting(parse, _must_be(f"a {' or '.join(schemes)} URL"), otherwise)


def _phone_number() -> _Setting:
    def parse(text: str) -> str:
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", text):
            raise ValueError
        return text

    return _Setting(parse, _must_be("a number such as +15550100"), lambda _: "")


def _integer(default: int, low: int, high: int) -> _Setting:
    def parse(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError
        return number

    return _Setting(parse, _must_be(f"a whole number from {low} to {high}"), lambda _: default)


def _choice(default: StrEnum) -> _Setting:
    kind = type(default)
    return _Setting(kind, _must_be(f"one of {', '.join(kind)}"), lambda _: default)


def _price() -> _Setting:
    def parse(text: str) -> float:
        amount = float(text)
        if not 0 <= amount < 100:
            raise ValueError
        return amount

    return _Setting(parse, _must_be("an amount such as 0.007"), lambda _: None)


def _hosts() -> _Setting:
    def parse(text: str) -> frozenset[tuple[str, int]]:
        return frozenset(_host_and_port(entry.strip()) for entry in text.split(","))

    wanted = "a list such as 127.0.0.1:8000,tools.internal:80"
    return _Setting(parse, _must_be(wanted), lambda _: frozenset())


def _destinations() -> _Setting:
    def parse(text: str) -> frozenset[str]:
        entries = frozenset(entry.strip() for entry in text.split(","))
        if not all(re.fullmatch(r"[A-Z]{2}|\+[0-9]{1,15}", entry) for entry in entries):
            raise ValueError
        return entries

    wanted = "regions and beginnings of numbers, such as US,CA,+4490"
    return _Setting(parse, _must_be(wanted), lambda _: frozenset())


def websocket_of_base(environ: Mapping[str, str]) -> str:
    """Return the address of the media container if it shares that of the webhooks."""
    base = environ.get("BASE_PUBLIC_URL", "").strip().rstrip("/")
    return "ws" + base.removeprefix("http") if base.startswith("http") else base


@dataclass(frozen=True, slots=True)
class CommonSettings:
    """Settings of the Lambdas and of the media container."""

    calls_table: Annotated[str, _text()]
    base_public_url: Annotated[str, _url("http", "https", default="")]
    """Where Telnyx reaches the webhooks, without a trailing slash."""
    media_public_url: Annotated[str, _url("ws", "wss", default=websocket_of_base)]
    """Where Telnyx reaches the media container, without a trailing slash."""
    telnyx_api_base: Annotated[str, _url("http", "https", default=DEFAULT_TELNYX_API)]
    telnyx_api_key: Annotated[str, _key()]
    telnyx_connection_id: Annotated[str, _text("")]
    stream_token_secret: Annotated[str, _text()]
    openai_api_key: Annotated[str, _key()]
    openai_realtime_url: Annotated[str, _url("ws", "wss", default=DEFAULT_REALTIME_URL)]
    model_audio: Annotated[ModelAudio, _choice(ModelAudio.PCM24K)]
    max_call_minutes: Annotated[int, _integer(55, 1, 55)]
    tool_hosts_allowed: Annotated[frozenset[tuple[str, int]], _hosts()]
    """Host and port of servers that may have a private address and may be called by plain HTTP."""
    outcomes_queue_url: Annotated[str, _text("")]
    outcome_webhook_url: Annotated[str, _url("http", "https", default="")]
    """Receiver of outcome webhooks for calls that name none themselves."""
    metrics_namespace: Annotated[str, _text("")]
    """The CloudWatch namespace. It must differ for each stack; empty disables metrics."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises `NotConfigured`."""
        hints = get_type_hints(cls, include_extras=True)
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name in (field.name for field in fields(cls)):
            [setting] = hints[name].__metadata__
            try:
                values[name] = setting.read(name.upper(), environ)
            except NotConfigured as error:
                problems.append(str(error))
        if problems:
            raise NotConfigured("; ".join(problems))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class ControlSettings(CommonSettings):
    """Settings of the Lambdas.

    They start without the keys of the providers, because some routes need none. The `require`
    methods refuse the others.
    """

    base_public_url: Annotated[str, _url("http", "https")]
    telnyx_api_key: Annotated[str, _key("")]
    stream_token_secret: Annotated[str, _text("")]
    openai_api_key: Annotated[str, _key("")]
    telnyx_public_key: Annotated[str, _text("")]
    """The account's raw Ed25519 public key in base64."""
    telnyx_from_number: Annotated[str, _text("")]
    allowed_destinations: Annotated[frozenset[str], _destinations()]
    """Regions and number prefixes that may be called. If empty, the region of our number may be
    called."""
    max_concurrent_calls: Annotated[int, _integer(0, 0, 100_000)]
    """Maximum number of concurrent calls. Zero means unlimited, here and in the next two
    settings."""
    max_calls_per_day: Annotated[int, _integer(0, 0, 10_000_000)]
    max_minutes_per_day: Annotated[int, _integer(0, 0, 10_000_000)]
    fallback_say: Annotated[str, _text("")]
    """The words for a caller when no model can continue the call. If empty, an apology is used."""
    fallback_transfer_to: Annotated[str, _phone_number()]
    """The number that the caller is connected with. Without a number, the call ends."""
    recordings_bucket: Annotated[str, _text("")]
    recordings_queue_url: Annotated[str, _text("")]
    """The queue of recordings to copy. Empty means that recordings stay with the carrier."""
    outcome_webhook_secret: Annotated[str, _text("")]
    """Signs outcome webhooks. If empty, it is derived from the secret of the stream tokens."""
    telnyx_minute_price: Annotated[float | None, _price()]
    """US dollars per minute of a call, used if the carrier reports no charge (`call.cost`)."""

    def require_dialing(self) -> None:
        """Raise `NotConfigured`, naming every setting without which no call can be placed."""
        self._require(
            OPENAI_API_KEY=self.openai_api_key,
            TELNYX_API_KEY=self.telnyx_api_key,
            TELNYX_CONNECTION_ID=self.telnyx_connection_id,
            STREAM_TOKEN_SECRET=self.stream_token_secret,
        )

    def require_browser_calls(self) -> None:
        """Raise `NotConfigured`, naming every setting without which no browser call can begin."""
        self._require(
            OPENAI_API_KEY=self.openai_api_key, STREAM_TOKEN_SECRET=self.stream_token_secret
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
        missing = [_DISPLAY_NAMES.get(name, name) for name, value in values.items() if not value]
        if missing:
            raise NotConfigured(f"{', '.join(missing)} not configured")


@dataclass(frozen=True, slots=True)
class MediaSettings(CommonSettings):
    """Settings of the media container."""

    openai_model: Annotated[str, _text(DEFAULT_MODEL)]
    openai_auth_header: Annotated[AuthHeader, _choice(AuthHeader.AUTHORIZATION)]
    openai_session_ack: Annotated[SessionAck, _choice(SessionAck.REQUIRED)]
    l16_byte_order: Annotated[ByteOrder, _choice(ByteOrder.BIG)]
    """The byte order of L16 samples on the media stream."""
    max_calls_per_task: Annotated[int, _integer(40, 1, 1000)]
    tool_signing_secret: Annotated[str, _text("")]
    """Signs requests to tools. If empty, it is derived from the secret of the stream tokens."""


def fits_header(value: str) -> bool:
    """Whether an HTTP header can carry the value unchanged (RFC 9110, 5.5)."""
    return value.isascii() and value.isprintable()


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _host_and_port(entry: str) -> tuple[str, int]:
    parts = urlsplit(f"//{entry}")
    if not (parts.hostname and parts.port) or parts.netloc != entry or "@" in entry:
        raise ValueError
    return parts.hostname, parts.port
