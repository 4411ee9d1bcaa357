"""The tools that Phonebridge carries out itself: their definitions for the model, and their
arguments."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from media_bridge import tool_events
from media_bridge.commands import TransferCall
from media_bridge.conversation.tool_batch import ToolRefused, read_arguments
from phonebridge.call.tools import BuiltIn, Destination, HttpsFunction, Tools

MAX_SUMMARY_LENGTH = 1000


class TransferArguments(Struct, frozen=True):
    destination: str
    summary: Annotated[str, Meta(max_length=MAX_SUMMARY_LENGTH)] = ""


class DigitsArguments(Struct, frozen=True):
    """Telnyx presses these, `w` and `W` are pauses ("Send DTMF")."""

    digits: Annotated[str, Meta(pattern=r"^[0-9A-D*#wW]{1,32}$")]


class MessageArguments(Struct, frozen=True):
    message: Annotated[str, Meta(min_length=1, max_length=4000)]
    name: Annotated[str, Meta(max_length=200)] = ""
    phone: Annotated[str, Meta(max_length=40)] = ""


def function_definitions(tools: Tools) -> tuple[HttpsFunction, ...]:
    """Return the definitions for the model. They look like the functions of a user's server."""
    return tuple(_function_definition(each, tools) for each in tools.built_in)


def _function_definition(tool: BuiltIn, tools: Tools) -> HttpsFunction:
    match tool:
        case BuiltIn.END_CALL:
            return _function(tool, _END_CALL, {})
        case BuiltIn.TRANSFER_CALL:
            return _function(tool, _TRANSFER_CALL, _transfer(tools.destinations), "destination")
        case BuiltIn.SEND_DTMF:
            digits = {"type": "string", "pattern": "^[0-9A-D*#wW]{1,32}$"}
            return _function(tool, _SEND_DTMF, {"digits": digits}, "digits")
        case BuiltIn.TAKE_MESSAGE:
            text = {"type": "string"}
            fields: dict[str, object] = {"message": text, "name": text, "phone": text}
            return _function(tool, _TAKE_MESSAGE, fields, "message")


_END_CALL = (
    "Hang up. Say goodbye first: the call ends when the caller has heard you. Call it when both "
    "of you have nothing more to say."
)
_TRANSFER_CALL = (
    "Connect the caller with somebody else; your part of the call is over then. Say so first, and "
    "sum up in two sentences what the call is about."
)
_SEND_DTMF = (
    "Press keys of the phone, for a menu that asks for them; w waits half a second. Then listen."
)
_TAKE_MESSAGE = (
    "Store a message of the caller for those for whom you work, with the caller's name and the "
    "number to call back, if they gave them."
)


def _transfer(destinations: tuple[Destination, ...]) -> dict[str, object]:
    return {
        "destination": {"type": "string", "enum": [each.name for each in destinations]},
        "summary": {"type": "string"},
    }


def _function(
    tool: BuiltIn, description: str, properties: dict[str, object], *required: str
) -> HttpsFunction:
    schema = {"type": "object", "properties": properties, "required": required}
    parameters = msgspec.json.encode(schema).decode()
    return HttpsFunction(name=tool, url="", description=description, parameters=parameters)


def transfer_of(call: tool_events.FunctionCalled, tools: Tools) -> TransferCall:
    """Read whom the model wants the caller to be connected with. Raises `ToolRefused`."""
    wanted = read_arguments(call.arguments, TransferArguments)
    found = tools.destination(wanted.destination)
    if found is None:
        names = ", ".join(each.name for each in tools.destinations)
        raise ToolRefused(f"The destinations are: {names}.")
    if found.warm and not wanted.summary.strip():
        raise ToolRefused(f"{found.name} must be told a summary of the call.")
    return TransferCall(found.to, wanted.summary.strip() if found.warm else "")
