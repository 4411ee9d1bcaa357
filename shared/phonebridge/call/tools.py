"""The tools of a call, declared with the rest of its configuration (docs/tools.md)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

NO_PARAMETERS = '{"type":"object","properties":{}}'


class BuiltIn(StrEnum):
    """Tools that Phonebridge carries out itself."""

    END_CALL = "end_call"
    TRANSFER_CALL = "transfer_call"
    SEND_DTMF = "send_dtmf"
    TAKE_MESSAGE = "take_message"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsFunction:
    """A function of the user's server."""

    name: str
    url: str
    description: str = ""
    parameters: str = NO_PARAMETERS
    """A JSON schema, as JSON."""
    timeout_seconds: float = 10.0
    """The timeout of all attempts of one request together."""
    idempotent: bool = False
    """Whether a request that failed may be sent again."""
    filler: str | None = None
    """A sentence for a waiting caller."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    secret: str | None = field(default=None, repr=False)
    """The secret that signs the requests, instead of the operator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A server of the Model Context Protocol, which the model's own servers call."""

    label: str
    url: str
    authorization: str | None = field(default=None, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    allowed_tools: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination to which the model may transfer the caller. The model sees only its name."""

    name: str
    to: str
    warm: bool = False
    """Whether the target hears a summary before the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    functions: tuple[HttpsFunction, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    built_in: tuple[BuiltIn, ...] = ()
    destinations: tuple[Destination, ...] = ()

    def destination(self, wanted: str) -> Destination | None:
        """Find a destination by its name, or by its number if it has no name."""
        named = wanted.strip().casefold()
        return next((each for each in self.destinations if each.name.casefold() == named), None)


def map_secrets(tools: Tools, change: Callable[[str], str]) -> Tools:
    """Return the tools with every secret changed."""

    def of_headers(headers: dict[str, str]) -> dict[str, str]:
        return {name: change(value) for name, value in headers.items()}

    def maybe(secret: str | None) -> str | None:
        return change(secret) if secret else secret

    return replace(
        tools,
        functions=tuple(
            replace(each, headers=of_headers(each.headers), secret=maybe(each.secret))
            for each in tools.functions
        ),
        mcp_servers=tuple(
            replace(each, headers=of_headers(each.headers), authorization=maybe(each.authorization))
            for each in tools.mcp_servers
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that a caller left. Its time counts from the start of the media stream."""

    number: int
    text: str
    name: str = ""
    phone: str = ""
    taken_ms: int = 0
    stream_number: int = 1
