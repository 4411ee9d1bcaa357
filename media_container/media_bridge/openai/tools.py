"""Tools on the Realtime wire: declarations, calls and outputs.

Sources: OpenAI, "Realtime with tools"; API reference, "Realtime server events".
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from media_bridge import events, tool_events
from media_bridge.conversation.builtin_tools import function_definitions
from media_bridge.openai import items
from media_bridge.openai.items import ConversationItem
from media_bridge.openai.transcripts import agent_transcript_in, caller_transcript_in
from phonebridge.call.tools import HttpsFunction, McpServer, Tools


class Tool(Struct, frozen=True):
    """A declared tool. It is flat, because the server refuses the nesting of Chat Completions. A
    server's echo may have another shape, so only its names are read."""

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


class FunctionCallItem(Struct, frozen=True, tag="function_call", tag_field="type"):
    call_id: str
    name: str
    arguments: str


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
    call_id: str
    arguments: str
    response_id: str = ""
    name: str | None = None


class OutputItemDone(_ServerEvent, frozen=True, tag="response.output_item.done"):
    item: Raw
    response_id: str = ""


class OutputItemAdded(_ServerEvent, frozen=True, tag="response.output_item.added"):
    item: Raw
    response_id: str = ""


class ItemAdded(_ServerEvent, frozen=True, tag="conversation.item.added"):
    item: Raw


class ItemCreated(_ServerEvent, frozen=True, tag="conversation.item.created"):
    """The former name of `conversation.item.added`; some servers still use it."""

    item: Raw


class ItemDone(_ServerEvent, frozen=True, tag="conversation.item.done"):
    item: Raw = Raw(b"null")


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
    | ItemDone
    | McpCallCompleted
    | McpCallFailed
    | McpListToolsFailed
)


def tool_definitions(tools: Tools) -> tuple[Tool, ...]:
    functions = (_function(each) for each in (*tools.functions, *function_definitions(tools)))
    return (*functions, *(_mcp(each) for each in tools.mcp_servers))


def to_event(event: ToolEvent, response_id: str) -> events.ModelEvent | None:
    """Translate an event. `response_id` is the response to which it belongs if it names none."""
    match event:
        case FunctionCallArgumentsDone(call_id, arguments, of, name):
            # The beta's had no name; the item that is done has it.
            called = name and tool_events.FunctionCalled(
                of or response_id, call_id, name, items.readable(arguments)
            )
            return called or None
        case OutputItemDone(raw, of):
            item = items.read(raw)
            response_id = of or response_id
            return _to_tool_call(item, response_id, is_done=True) or agent_transcript_in(
                item, response_id
            )
        case OutputItemAdded(raw, of):
            # A function's arguments are still to come; an MCP server is called with them at once.
            call = _to_tool_call(items.read(raw), of or response_id)
            return call if isinstance(call, tool_events.McpCalled) else None
        case ItemDone(raw):
            return _done(items.read(raw))
        case ItemAdded(raw) | ItemCreated(raw):
            return _to_item_event(items.read(raw))
        case _:
            return _to_mcp_event(event)


def _to_mcp_event(
    event: McpCallCompleted | McpCallFailed | McpListToolsFailed,
) -> tool_events.McpEvent:
    match event:
        case McpCallCompleted(item_id):
            return tool_events.McpReturned(item_id, ok=True)
        case McpCallFailed(item_id):
            return tool_events.McpReturned(item_id, ok=False)
        case McpListToolsFailed(item_id):
            return tool_events.McpUnavailable(item_id)


def refusal(request_id: str) -> ApprovalItem:
    """Return the refusal of an approval. Its id may have at most 32 characters, and the SDK's types
    require one."""
    reason = "Nobody on the phone can approve it."
    return ApprovalItem(f"no-{request_id}"[:32], request_id, False, reason)


def calls_in(output: list[ConversationItem], response_id: str) -> tuple[tool_events.ToolCall, ...]:
    """List the calls of a response. Some servers report them only in `response.done`."""
    return tuple(call for item in output if (call := _to_tool_call(item, response_id)))


def _to_tool_call(
    item: ConversationItem | None, response_id: str, is_done: bool = False
) -> tool_events.ToolCall | None:
    """Return the call of an item, if it is one."""
    match item:
        case ConversationItem(type="function_call", name=str(name), call_id=str(call_id)):
            whole = item.status in (None, "completed")
            return tool_events.FunctionCalled(
                response_id, call_id, name, item.arguments_text, whole
            )
        case ConversationItem(type="mcp_call", id=str(item_id)):
            return tool_events.McpCalled(
                response_id, item_id, item.name or "", _outcome(item, is_done)
            )
        case ConversationItem(type="mcp_approval_request", id=str(item_id)):
            return tool_events.ApprovalRequested(response_id, item_id, item.name or "")
        case _:
            return None


def _done(
    item: ConversationItem | None,
) -> tool_events.McpReturned | events.CallerTranscribed | None:
    match item:
        case ConversationItem(type="mcp_call", id=str(item_id)):
            ok = _outcome(item, is_done=True)
            return None if ok is None else tool_events.McpReturned(item_id, ok)
        case _:
            return caller_transcript_in(item)


def _outcome(item: ConversationItem, is_done: bool) -> bool | None:
    """Return whether an MCP server's call succeeded, or None if the item does not say that it is
    over."""
    if not items.is_null(item.error) or item.status in ("failed", "incomplete"):
        return False
    is_over = not items.is_null(item.output) or (is_done and item.status == "completed")
    return True if is_over else None


def _to_item_event(
    item: ConversationItem | None,
) -> tool_events.OutputAdded | tool_events.McpListing | None:
    match item:
        case ConversationItem(type="mcp_list_tools", id=str(item_id), server_label=str(label)):
            return tool_events.McpListing(item_id, label)
        case ConversationItem(type="function_call_output", call_id=str(call_id)):
            return tool_events.OutputAdded(call_id)
        case _:
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
        # No one on the phone could approve a call.
        require_approval=_raw("never"),
    )


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
