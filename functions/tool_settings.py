"""How tools are declared over the HTTP API; `phonebridge.tools` holds what becomes of them."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from fields import Form, NotBlank, PhoneNumber, StrictRequest
from phonebridge.tools import BuiltIn, Destination, HttpsFunction, McpServer, Tools

MOST_TOOLS = 32
MOST_SCHEMA_BYTES = 8192
DEEPEST_SCHEMA = 16

# What the client itself writes (RFC 9110, sections 7 and 8; RFC 9112, section 6).
_OUR_HEADERS = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)

T = TypeVar("T")


def _absolute(url: str) -> str:
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("must be ASCII without blanks; escape what is not (RFC 3986)")
    try:
        parts = urlsplit(url)
        is_complete = parts.hostname and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, or a port that is no number up to 65535
        is_complete = False
    if not is_complete or parts.scheme not in ("https", "http"):
        raise ValueError("must be an https URL with a host, and a port only from 1 to 65535")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or a password: use headers")
    if parts.fragment:
        raise ValueError("must not have a fragment")
    return url


def _encrypted(url: str) -> str:
    if urlsplit(url).scheme != "https":
        raise ValueError("must be an https URL")
    return url


def _settable(name: str) -> str:
    if name.lower() in _OUR_HEADERS or name.lower().startswith("phonebridge-"):
        raise ValueError("is a header that Phonebridge sets itself")
    return name


Url = Annotated[str, Field(max_length=2048), AfterValidator(_absolute)]
# RFC 9110, section 5.6.2 and 5.5: no line may be smuggled in.
HeaderName = Annotated[
    str,
    Form(
        r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
        "must be the name of an HTTP header: 1 to 64 letters, digits and hyphens",
    ),
    AfterValidator(_settable),
]
HeaderValue = Annotated[
    str,
    Form(
        r"^[!-~]([ -~]{0,2046}[!-~])?$",
        "must be 1 to 2048 of printable ASCII, with no blank at either end",
    ),
]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=16)]


class Function(StrictRequest):
    """Carried out by a request to your server."""

    type: Literal["function"] = "function"
    name: Annotated[str, Form(r"^[A-Za-z0-9_-]{1,64}$", "must be 1 to 64 letters, digits, _ and -")]
    description: Annotated[str, Field(max_length=2048)] = ""
    parameters: Annotated[
        dict[str, Any], Field(description="JSON schema of the arguments: an object")
    ] = Field(default={"type": "object", "properties": {}})
    url: Url
    timeout_seconds: Annotated[float, Field(ge=0.5, le=30)] = 10.0
    idempotent: Annotated[bool, Field(description="May be repeated after a failure")] = False
    filler: Annotated[
        Annotated[str, Field(min_length=1, max_length=300), NotBlank] | None,
        Field(description="Said when it takes long"),
    ] = None
    headers: Headers = Field(default={})
    secret: Annotated[
        str | None, Field(min_length=16, max_length=256, description="Signs the requests")
    ] = None

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in set(BuiltIn):
            raise ValueError("is the name of a built-in tool")
        return name

    @field_validator("parameters")
    @classmethod
    def _describes_an_object(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("type") != "object":
            raise ValueError('must be a JSON schema of type "object"')
        if _depth(schema) > DEEPEST_SCHEMA:
            raise ValueError(f"must not be nested deeper than {DEEPEST_SCHEMA} levels")
        if len(_written(schema).encode()) > MOST_SCHEMA_BYTES:
            raise ValueError(f"must not take more than {MOST_SCHEMA_BYTES} bytes")
        return schema


class Mcp(StrictRequest):
    """A server of the Model Context Protocol, called by the model's own servers."""

    type: Literal["mcp"]
    server_label: Annotated[
        str,
        Form(
            r"^[A-Za-z][A-Za-z0-9_-]{0,63}$",
            "must be 1 to 64 letters, digits, _ and -, the first a letter",
        ),
    ]
    server_url: Annotated[Url, AfterValidator(_encrypted)]
    authorization: Annotated[str | None, Field(min_length=1, max_length=4096)] = None
    headers: Headers = Field(default={})
    allowed_tools: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=128)]] | None,
        Field(min_length=1, max_length=64),
    ] = None
    require_approval: Annotated[
        Literal["never"], Field(description="Nobody on the phone could approve a call.")
    ] = "never"


class BuiltInTool(StrictRequest):
    type: Literal["end_call", "send_dtmf", "take_message"]


class TransferTarget(StrictRequest):
    name: Annotated[
        Annotated[str, Field(min_length=1, max_length=64), NotBlank] | None,
        Field(description="What the model calls it"),
    ] = None
    to: PhoneNumber
    warm: Annotated[bool, Field(description="Is told first what the call is about")] = False

    @property
    def known_as(self) -> str:
        return self.name or self.to


class TransferTool(StrictRequest):
    """The model can transfer to these destinations and to nobody else."""

    type: Literal["transfer_call"]
    destinations: Annotated[list[TransferTarget], Field(min_length=1, max_length=32)]

    @field_validator("destinations")
    @classmethod
    def _differ(cls, destinations: list[TransferTarget]) -> list[TransferTarget]:
        _refuse_repeated("name", (target.known_as for target in destinations))
        return destinations


def _kind(tool: object) -> str | None:
    if isinstance(tool, str):
        return "built_in_name"
    kind = tool.get("type", "function") if isinstance(tool, dict) else getattr(tool, "type", None)
    return _TAG_OF.get(kind) if isinstance(kind, str) else None


_TAG_OF = {
    "function": "function",
    "mcp": "mcp",
    "transfer_call": "transfer_call",
    **dict.fromkeys(("end_call", "send_dtmf", "take_message"), "built_in"),
}
TOOL_TAGS = ("built_in_name", *_TAG_OF.values())
_KINDS = ", ".join(_TAG_OF)

Tool = Annotated[
    Annotated[Function, Tag("function")]
    | Annotated[Mcp, Tag("mcp")]
    | Annotated[TransferTool, Tag("transfer_call")]
    | Annotated[BuiltInTool, Tag("built_in")]
    | Annotated[Literal["end_call", "send_dtmf", "take_message"], Tag("built_in_name")],
    Discriminator(
        _kind,
        custom_error_type="tool_type",
        custom_error_message=f"must have a type: {_KINDS}",
    ),
]


def distinct(tools: list[Tool] | None) -> list[Tool] | None:
    _refuse_repeated("name", (name for tool in tools or () if (name := _name(tool))))
    labels = (tool.server_label for tool in tools or () if isinstance(tool, Mcp))
    _refuse_repeated("server_label", labels)
    return tools


def declared(tools: Sequence[Tool]) -> Tools:
    transfers = _of(TransferTool, tools)
    return Tools(
        functions=tuple(_function(tool) for tool in _of(Function, tools)),
        mcp_servers=tuple(_mcp_server(tool) for tool in _of(Mcp, tools)),
        built_in=tuple(each for each in BuiltIn if each in {_name(tool) for tool in tools}),
        destinations=tuple(
            Destination(target.known_as, target.to, target.warm)
            for transfer in transfers
            for target in transfer.destinations
        ),
    )


def tool_warnings(tools: Sequence[Tool]) -> list[str]:
    return [
        f"tools.{index}.url: is not https; it is called only where TOOL_HOSTS_ALLOWED names it."
        for index, tool in enumerate(tools)
        if isinstance(tool, Function) and not tool.url.startswith("https:")
    ]


def _name(tool: Tool) -> str | None:
    match tool:
        case Function(name=name):
            return name
        case Mcp():
            return None
        case str():
            return tool
        case _:
            return tool.type


def _of(kind: type[T], tools: Sequence[Tool]) -> list[T]:
    return [tool for tool in tools if isinstance(tool, kind)]


def _function(tool: Function) -> HttpsFunction:
    return HttpsFunction(
        name=tool.name,
        url=tool.url,
        description=tool.description,
        parameters=_written(tool.parameters),
        timeout_seconds=tool.timeout_seconds,
        idempotent=tool.idempotent,
        filler=tool.filler,
        headers=tool.headers,
        secret=tool.secret,
    )


def _mcp_server(tool: Mcp) -> McpServer:
    return McpServer(
        label=tool.server_label,
        url=tool.server_url,
        authorization=tool.authorization,
        headers=tool.headers,
        allowed_tools=None if tool.allowed_tools is None else tuple(tool.allowed_tools),
    )


def _written(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _refuse_repeated(field: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the {field} {name} is used twice")
        seen.add(name)


def _depth(value: object) -> int:
    """Read by `json`, which is nested no deeper than Python's own stack."""
    level, deep = [value], 0
    while level:
        deep += 1
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return deep
