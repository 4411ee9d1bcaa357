"""Declarations of tools in the HTTP API. `phonebridge.call.tools` has the types that the rest of
the system uses, and `declared_tools.py` converts between them."""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from control_plane.api.requests.fields import (
    PLAIN,
    NotBlank,
    Pattern,
    PhoneNumber,
    StrictModel,
    did_you_mean,
)
from control_plane.api.requests.server_fields import Headers, Url, require_tls
from phonebridge.call.tools import BuiltIn

MAX_TOOLS = 32
MAX_SCHEMA_BYTES = 8192
MAX_SCHEMA_DEPTH = 16


class FunctionSettings(StrictModel):
    """A function on your server. Each call of it is one HTTPS request."""

    type: Annotated[Literal["function"], Field(description="May be omitted.")] = "function"
    name: Annotated[
        str,
        Pattern(r"^[A-Za-z0-9_-]{1,64}$", "must be 1 to 64 letters, digits, _ and -"),
        Field(description="The name by which the model calls it.", examples=["opening_hours"]),
    ]
    description: Annotated[
        str,
        Field(
            max_length=2048,
            description=(
                "Instructions for the model: when to call it, and what to say in the meantime."
            ),
        ),
    ] = ""
    parameters: Annotated[
        dict[str, Any],
        Field(description="JSON schema of the arguments, of type `object`; at most 8192 bytes."),
    ] = Field(default={"type": "object", "properties": {}})
    url: Annotated[
        Url,
        Field(
            description=(
                "Where requests are sent: https with a public address, except for hosts "
                "in TOOL_HOSTS_ALLOWED."
            )
        ),
    ]
    timeout_seconds: Annotated[
        float, Field(ge=0.5, le=30, description="Timeout of a call, including all attempts.")
    ] = 10.0
    idempotent: Annotated[
        bool, Field(description="Whether a failed request may be sent again.")
    ] = False
    filler: Annotated[
        Annotated[str, Field(min_length=1, max_length=300), NotBlank] | None,
        Field(description="A sentence that the agent says if the caller waits in silence."),
    ] = None
    headers: Headers = Field(default={})
    secret: Annotated[
        str | None,
        Field(
            min_length=16,
            max_length=256,
            description=(
                "Signs the requests instead of the operator's secret. Responses mask it "
                "with asterisks."
            ),
        ),
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
        if _depth(schema) > MAX_SCHEMA_DEPTH:
            raise ValueError(f"must not be nested deeper than {MAX_SCHEMA_DEPTH} levels")
        if len(encode_schema(schema).encode()) > MAX_SCHEMA_BYTES:
            raise ValueError(f"must not take more than {MAX_SCHEMA_BYTES} bytes")
        return schema


class McpSettings(StrictModel):
    """A server of the Model Context Protocol. OpenAI's servers call it."""

    type: Annotated[Literal["mcp"], Field(description="The kind of tool.")]
    server_label: Annotated[
        str,
        Pattern(
            r"^[A-Za-z][A-Za-z0-9_-]{0,63}$",
            "must be 1 to 64 letters, digits, _ and -, the first a letter",
        ),
        Field(description="The name by which the model calls the server.", examples=["calendar"]),
    ]
    server_url: Annotated[
        Url, AfterValidator(require_tls), Field(description="The https URL of the server.")
    ]
    authorization: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=4096,
            description="A token for the server. Responses mask it with asterisks.",
        ),
    ] = None
    headers: Headers = Field(default={})
    allowed_tools: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=128)]] | None,
        Field(
            min_length=1,
            max_length=64,
            description=("The tools that the model may call. Null: all."),
        ),
    ] = None
    require_approval: Annotated[
        Literal["never"],
        Field(
            description=("Always `never`, because nobody can approve a call during a phone call.")
        ),
    ] = "never"


class BuiltInTool(StrictModel):
    """A tool that Phonebridge carries out itself."""

    type: Annotated[
        Literal["end_call", "send_dtmf", "take_message"],
        Field(description=("The name of the tool.")),
    ]


class TransferTarget(StrictModel):
    """A destination to which the model may transfer the caller."""

    name: Annotated[
        Annotated[str, Field(min_length=1, max_length=64), NotBlank] | None,
        Field(
            description=("The name by which the model calls it. Null: its number."),
            examples=["sales"],
        ),
    ] = None
    to: PhoneNumber
    warm: Annotated[
        bool, Field(description="Whether a summary of the call is read to the target first.")
    ] = False

    @property
    def known_as(self) -> str:
        return self.name or self.to


class TransferTool(StrictModel):
    """Lets the model transfer the caller, and only to these destinations."""

    type: Annotated[Literal["transfer_call"], Field(description="The kind of tool.")]
    destinations: Annotated[
        list[TransferTarget],
        Field(min_length=1, max_length=32, description="The possible targets."),
    ]

    @field_validator("destinations")
    @classmethod
    def _differ(cls, destinations: list[TransferTarget]) -> list[TransferTarget]:
        _refuse_repeated("name", (target.known_as for target in destinations))
        return destinations


_TAG_OF = {
    "function": "(function)",
    "mcp": "(mcp)",
    "transfer_call": "(transfer_call)",
    **dict.fromkeys(("end_call", "send_dtmf", "take_message"), "(built_in)"),
}
"""The types of tools, and the members of the union below. Brackets distinguish a member's tag from
the fields of a request, because both occur in the path of an error."""
TOOL_TAGS = ("(name)", *_TAG_OF.values())
_TYPES = ", ".join(f"`{each}`" for each in _TAG_OF)


def _type_of(tool: object) -> object:
    return tool.get("type", "function") if isinstance(tool, dict) else getattr(tool, "type", None)


def _tag_of(tool: object) -> str | None:
    return "(name)" if isinstance(tool, str) else _TAG_OF.get(str(_type_of(tool)))


def _of_known_type(tool: object) -> object:
    if problem := _name_problem(tool) if isinstance(tool, str) else _type_problem(tool):
        raise PydanticCustomError(PLAIN, "{problem}", {"problem": problem})
    return tool


def _name_problem(name: str) -> str | None:
    if _TAG_OF.get(name) == "(built_in)":
        return None
    if name == "transfer_call":
        declared = '{"type": "transfer_call", "destinations": [{"to": "+15550100"}]}'
        return f"`transfer_call` needs destinations: {declared}"
    return (
        "is not a built-in tool; those are `end_call`, `send_dtmf`, `take_message`, and "
        f"`transfer_call` with its destinations{did_you_mean(name, _TAG_OF)}"
    )


def _type_problem(tool: object) -> str | None:
    if not isinstance(tool, dict | StrictModel):
        return "must be an object, or the name of a built-in tool such as `end_call`"
    kind = _type_of(tool)
    if kind in tuple(_TAG_OF):
        return None
    return f"must have one of the types {_TYPES}{did_you_mean(kind, _TAG_OF)}"


Tool = Annotated[
    Annotated[
        Annotated[FunctionSettings, Tag("(function)")]
        | Annotated[McpSettings, Tag("(mcp)")]
        | Annotated[TransferTool, Tag("(transfer_call)")]
        | Annotated[BuiltInTool, Tag("(built_in)")]
        | Annotated[Literal["end_call", "send_dtmf", "take_message"], Tag("(name)")],
        Discriminator(_tag_of),
    ],
    BeforeValidator(_of_known_type),
]


def check_distinct(tools: list[Tool] | None) -> list[Tool] | None:
    _refuse_repeated("name", (name for tool in tools or () if (name := name_of(tool))))
    labels = (tool.server_label for tool in tools or () if isinstance(tool, McpSettings))
    _refuse_repeated("server_label", labels)
    return tools


def name_of(tool: Tool) -> str | None:
    match tool:
        case FunctionSettings(name=name):
            return name
        case McpSettings():
            return None
        case str():
            return tool
        case _:
            return tool.type


def encode_schema(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _refuse_repeated(field: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"use the {field} `{name}` twice; each must be unique")
        seen.add(name)


def _depth(value: object) -> int:
    """Return the depth of nesting. `json` allows no more than Python's own stack."""
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
