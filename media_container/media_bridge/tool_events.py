"""Events of the tools of a call: calls of the model, and their outcome."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FunctionCalled:
    """The model calls a function. `arguments` is what it wrote, and the event may be repeated."""

    response_id: str
    call_id: str
    name: str
    arguments: str
    is_whole: bool = True
    """False if the response ended before the model had written all arguments."""


@dataclass(frozen=True, slots=True)
class McpCalled:
    """The model calls an MCP server, without our help. `ok` is None while the call is under way."""

    response_id: str
    item_id: str
    name: str
    ok: bool | None = None


@dataclass(frozen=True, slots=True)
class McpReturned:
    item_id: str
    ok: bool


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """The model waits until somebody approves a call of an MCP server."""

    response_id: str
    item_id: str
    name: str


@dataclass(frozen=True, slots=True)
class McpListing:
    """The model asks an MCP server for its tools."""

    item_id: str
    server: str


@dataclass(frozen=True, slots=True)
class McpUnavailable:
    """The MCP server did not list its tools, so the model has none of them."""

    item_id: str


@dataclass(frozen=True, slots=True)
class OutputAdded:
    """The server added the output of a call to the conversation. Later responses see it."""

    call_id: str


@dataclass(frozen=True, slots=True)
class FunctionReturned:
    """A function has succeeded or failed. `output` is the text for the model."""

    call_id: str
    output: str
    ok: bool


ToolCall = FunctionCalled | McpCalled | ApprovalRequested
McpEvent = McpReturned | McpListing | McpUnavailable
ToolEvent = ToolCall | McpEvent | OutputAdded | FunctionReturned
