"""Converts tools from the API's declarations to a call's settings, and back without their
secrets."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from control_plane.api.requests.fields import InvalidField
from control_plane.api.requests.tool_settings import (
    BuiltInTool,
    FunctionSettings,
    McpSettings,
    Tool,
    TransferTarget,
    TransferTool,
    encode_schema,
    name_of,
)
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, McpServer, Tools

MASK = "*" * 16
"""Replaces every secret in responses. If it is sent back, the stored secret is kept."""

T = TypeVar("T")


def to_domain(tools: Sequence[Tool]) -> Tools:
    """Raise `InvalidField` for a secret that is still masked."""
    restore_secrets(tools, Tools())
    return Tools(
        functions=tuple(_function(tool) for tool in _of(FunctionSettings, tools)),
        mcp_servers=tuple(_mcp_server(tool) for tool in _of(McpSettings, tools)),
        built_in=tuple(each for each in BuiltIn if each in {name_of(tool) for tool in tools}),
        destinations=tuple(
            Destination(target.known_as, target.to, target.warm)
            for transfer in _of(TransferTool, tools)
            for target in transfer.destinations
        ),
    )


def declarations_of(tools: Tools) -> list[Tool]:
    """Return the tools as a request declares them, with every secret masked."""
    built_in = [each for each in tools.built_in if each is not BuiltIn.TRANSFER_CALL]
    transfers = [_transfer(tools.destinations)] if tools.destinations else []
    return [
        *(_masked_function(each) for each in tools.functions),
        *(_masked_server(each) for each in tools.mcp_servers),
        *(BuiltInTool.model_construct(type=each.value) for each in built_in),
        *transfers,
    ]


def restore_secrets(tools: Sequence[Tool], stored: Tools) -> list[Tool]:
    """Replace each mask with the stored secret. A tool keeps its secrets only if its name and
    server are unchanged, so that a declaration cannot send them elsewhere. Raise `InvalidField` for
    a mask without a stored secret."""
    functions = {(each.name, _server(each.url)): each for each in stored.functions}
    servers = {(each.label, _server(each.url)): each for each in stored.mcp_servers}
    restored: list[Tool] = []
    for index, tool in enumerate(tools):
        field = f"tools.{index}"
        match tool:
            case FunctionSettings():
                function = functions.get((tool.name, _server(tool.url)))
                restored.append(_with_function_secrets(tool, function, field))
            case McpSettings():
                server = servers.get((tool.server_label, _server(tool.server_url)))
                restored.append(_with_server_secrets(tool, server, field))
            case _:
                restored.append(tool)
    return restored


def _with_function_secrets(
    tool: FunctionSettings, stored: HttpsFunction | None, field: str
) -> FunctionSettings:
    headers = stored.headers if stored else {}
    secret = stored.secret if stored else None
    changes = {
        "headers": _restored_headers(tool.headers, headers, field),
        "secret": _restore(tool.secret, secret, f"{field}.secret"),
    }
    return tool.model_copy(update=changes)


def _with_server_secrets(tool: McpSettings, stored: McpServer | None, field: str) -> McpSettings:
    headers = stored.headers if stored else {}
    authorization = stored.authorization if stored else None
    changes = {
        "headers": _restored_headers(tool.headers, headers, field),
        "authorization": _restore(tool.authorization, authorization, f"{field}.authorization"),
    }
    return tool.model_copy(update=changes)


def _restored_headers(
    headers: Mapping[str, str], stored: Mapping[str, str], field: str
) -> dict[str, str | None]:
    return {
        name: _restore(value, stored.get(name), f"{field}.headers.{name}")
        for name, value in headers.items()
    }


def _restore(value: str | None, stored: str | None, field: str) -> str | None:
    if value != MASK:
        return value
    if stored is None:
        problem = "is masked, and no value is stored for this tool and server; send the value"
        raise InvalidField(field, problem)
    return stored


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _of(kind: type[T], tools: Sequence[Tool]) -> list[T]:
    return [tool for tool in tools if isinstance(tool, kind)]


def _function(tool: FunctionSettings) -> HttpsFunction:
    return HttpsFunction(
        name=tool.name,
        url=tool.url,
        description=tool.description,
        parameters=encode_schema(tool.parameters),
        timeout_seconds=tool.timeout_seconds,
        idempotent=tool.idempotent,
        filler=tool.filler,
        headers=tool.headers,
        secret=tool.secret,
    )


def _masked_function(function: HttpsFunction) -> FunctionSettings:
    return FunctionSettings.model_construct(
        type="function",
        name=function.name,
        description=function.description,
        parameters=json.loads(function.parameters),
        url=function.url,
        timeout_seconds=function.timeout_seconds,
        idempotent=function.idempotent,
        filler=function.filler,
        headers=dict.fromkeys(function.headers, MASK),
        secret=MASK if function.secret else None,
    )


def _mcp_server(tool: McpSettings) -> McpServer:
    return McpServer(
        label=tool.server_label,
        url=tool.server_url,
        authorization=tool.authorization,
        headers=tool.headers,
        allowed_tools=None if tool.allowed_tools is None else tuple(tool.allowed_tools),
    )


def _masked_server(server: McpServer) -> McpSettings:
    return McpSettings.model_construct(
        type="mcp",
        server_label=server.label,
        server_url=server.url,
        authorization=MASK if server.authorization else None,
        headers=dict.fromkeys(server.headers, MASK),
        allowed_tools=None if server.allowed_tools is None else list(server.allowed_tools),
        require_approval="never",
    )


def _transfer(destinations: Sequence[Destination]) -> TransferTool:
    targets = [
        TransferTarget.model_construct(
            name=None if each.name == each.to else each.name, to=each.to, warm=each.warm
        )
        for each in destinations
    ]
    return TransferTool.model_construct(type="transfer_call", destinations=targets)
