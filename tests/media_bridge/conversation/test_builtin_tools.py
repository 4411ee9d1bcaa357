"""The definitions of the tools that Phonebridge carries out itself."""

import json
from collections.abc import Mapping

import msgspec
import msgspec.structs
import pytest

from media_bridge.conversation.builtin_tools import (
    DigitsArguments,
    MessageArguments,
    TransferArguments,
    function_definitions,
)
from phonebridge.call.tools import BuiltIn, Destination, Tools

ALL = Tools(built_in=tuple(BuiltIn), destinations=(Destination("sales", "+15550101"),))
SCHEMAS = {each.name: json.loads(each.parameters) for each in function_definitions(ALL)}
READ: Mapping[str, type[msgspec.Struct]] = {
    "transfer_call": TransferArguments,
    "send_dtmf": DigitsArguments,
    "take_message": MessageArguments,
}


def _fields(tool: str) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(READ[tool]) if tool in READ else ()


def test_each_built_in_tool_describes_itself_and_takes_the_arguments_that_we_read() -> None:
    assert set(SCHEMAS) == set(BuiltIn)
    for each in function_definitions(ALL):
        assert len(each.description) > 20
        schema = SCHEMAS[each.name]
        assert list(schema["properties"]) == [field.name for field in _fields(each.name)]
        required = [field.name for field in _fields(each.name) if field.required]
        assert schema["required"] == required


def test_only_declared_tools_are_described() -> None:
    [only] = function_definitions(Tools(built_in=(BuiltIn.END_CALL,)))
    assert only.name == "end_call"


@pytest.mark.parametrize(
    ("tool", "arguments", "valid"),
    [
        ("transfer_call", {"destination": "sales"}, True),
        ("transfer_call", {"destination": "sales", "summary": "An order."}, True),
        ("transfer_call", {}, False),
        ("send_dtmf", {"digits": "1w#"}, True),
        ("send_dtmf", {"digits": "x"}, False),
        ("send_dtmf", {"digits": ""}, False),
        ("take_message", {"message": "Hello."}, True),
        ("take_message", {"name": "Ann"}, False),
        ("take_message", {"message": 7}, False),
    ],
)
def test_what_the_model_may_say(tool: str, arguments: dict[str, object], valid: bool) -> None:
    if valid:
        msgspec.convert(arguments, READ[tool])
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(arguments, READ[tool])
