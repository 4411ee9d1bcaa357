"""Tools on the Realtime wire: how they are declared, how the model calls them, how it is answered.

Sources: OpenAI, "Realtime with tools"; API reference, "Realtime server events".
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from media_bridge import events
from media_bridge.built_in import described
from phonebridge.tools import HttpsFunction, McpServer, Tools


class Tool(Struct, frozen=True):
    """Flat: the nesting of Chat Completions is refused. A server's echo may be shaped otherwise,
    and is read for its names alone."""

    type: str | UnsetType = UNSET
    name: str | None | UnsetType = UNSET
    description: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET
    server_label: str | None | UnsetType = UNSET
    server_url: Raw | UnsetType = UNSET
    authorization: Raw | UnsetType = UNSET
    headers: Raw | UnsetType = UNSET
    allowed_tools: Raw | UnsetType = UNSET
    require_approval: Raw | UnsetType = UNSET


class FunctionOutputItem(Struct, frozen=True, tag="function_call_output", tag_field="type"):
    call_id: str
    output: str


class ApprovalItem(Struct, frozen=True, tag="mcp_approval_response", tag_field="type"):
    id: str
    approval_request_id: str
    approve: bool
    reason: str


class _ServerEvent(Struct, frozen=True, gc=False, tag_field="type"):
    pass


class FunctionCallArgumentsDone(
    _ServerEvent, frozen=True, tag="response.function_call_arguments.done"
):
    response_id: str
    call_id: str
    arguments: str
    name: str | None = None


class OutputItemDone(_ServerEvent, frozen=True, tag="response.output_item.done"):
    response_id: str
    item: Raw


class OutputItemAdded(_ServerEvent, frozen=True, tag="response.output_item.added"):
    response_id: str
    item: Raw


class ItemAdded(_ServerEvent, frozen=True, tag="conversation.item.added"):
    item: Raw


class ItemCreated(_ServerEvent, frozen=True, tag="conversation.item.created"):
    """The former name of `conversation.item.added`; some servers still use it."""

    item: Raw


class McpCallCompleted(_ServerEvent, frozen=True, tag="response.mcp_call.completed"):
    item_id: str


class McpCallFailed(_ServerEvent, frozen=True, tag="response.mcp_call.failed"):
    item_id: str


class McpListToolsFailed(_ServerEvent, frozen=True, tag="mcp_list_tools.failed"):
    item_id: str


ToolEvent = (
    FunctionCallArgumentsDone
    | OutputItemDone
    | OutputItemAdded
    | ItemAdded
    | ItemCreated
    | McpCallCompleted
    | McpCallFailed
    | McpListToolsFailed
)


class _Item(Struct, frozen=True):
    """Of any type; what it has depends on that."""

    type: str
    id: str | None = None
    status: str | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    server_label: str | None = None


def declared(tools: Tools) -> tuple[Tool, ...]:
    functions = (_function(each) for each in (*tools.functions, *described(tools)))
    return (*functions, *(_mcp(each) for each in tools.mcp_servers))


def happened(event: ToolEvent) -> events.ModelEvent | None:
    match event:
        case FunctionCallArgumentsDone(response_id, call_id, arguments, name):
            # The beta's had no name; the item that is done has it.
            return events.FunctionCalled(response_id, call_id, name, arguments) if name else None
        case OutputItemDone(response_id, item):
            return _called(response_id, item)
        case OutputItemAdded(response_id, item):
            # A function's arguments are still to come; an MCP server is called with them at once.
            call = _called(response_id, item)
            return call if isinstance(call, events.McpCalled) else None
        case ItemAdded(item) | ItemCreated(item):
            return _added(item)
        case McpCallCompleted(item_id):
            return events.McpReturned(item_id, ok=True)
        case McpCallFailed(item_id):
            return events.McpReturned(item_id, ok=False)
        case McpListToolsFailed(item_id):
            return events.McpUnavailable(item_id)


def refusal(request_id: str) -> ApprovalItem:
    """An id may have 32 characters, and the SDK's types want one."""
    reason = "Nobody on the phone can approve it."
    return ApprovalItem(f"no-{request_id}"[:32], request_id, False, reason)


def calls_in(response_id: str, output: Raw) -> tuple[events.ToolCall, ...]:
    """What a response calls, by its own account: some servers tell it here alone."""
    try:
        items = msgspec.json.decode(output, type=list[Raw] | None) or ()
    except ValueError:
        return ()
    return tuple(call for item in items if (call := _called(response_id, item)))


def _called(response_id: str, raw: Raw) -> events.ToolCall | None:
    """What an item calls, if it does and was written to its end."""
    match _item(raw):
        case _Item(type="function_call", name=str(name), call_id=str(call_id)) as item:
            whole = item.status in (None, "completed")
            return events.FunctionCalled(response_id, call_id, name, item.arguments or "", whole)
        case _Item(type="mcp_call", id=str(item_id)) as item:
            return events.McpCalled(response_id, item_id, item.name or "")
        case _Item(type="mcp_approval_request", id=str(item_id)) as item:
            return events.ApprovalAsked(response_id, item_id, item.name or "")
        case _:
            return None


def _added(raw: Raw) -> events.OutputAdded | events.McpListing | None:
    match _item(raw):
        case _Item(type="mcp_list_tools", id=str(item_id), server_label=str(label)):
            return events.McpListing(item_id, label)
        case _Item(type="function_call_output", call_id=str(call_id)):
            return events.OutputAdded(call_id)
        case _:
            return None


def _item(raw: Raw) -> _Item | None:
    try:
        return msgspec.json.decode(raw, type=_Item)
    except ValueError:
        return None


def _function(function: HttpsFunction) -> Tool:
    return Tool(
        type="function",
        name=function.name,
        description=_raw(function.description),
        parameters=Raw(function.parameters.encode()),
    )


def _mcp(server: McpServer) -> Tool:
    return Tool(
        type="mcp",
        server_label=server.label,
        server_url=_raw(server.url),
        authorization=_raw(server.authorization) if server.authorization else UNSET,
        headers=_raw(server.headers) if server.headers else UNSET,
        allowed_tools=UNSET if server.allowed_tools is None else _raw(server.allowed_tools),
        # Nobody on the phone could approve a call.
        require_approval=_raw("never"),
    )


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
