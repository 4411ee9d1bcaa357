"""Reads the JSON that Telnyx sends. Required fields are strict, and all others may have any value.

`msgspec.json` refuses a whole message for one lone surrogate, one NaN or one unexpected field.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

MAX_INTEGER_DIGITS = 300
"""Longer integers are read as floats, because Python refuses those of more than 4,300 digits."""

# DynamoDB does not store lone surrogates. SQS accepts neither those nor U+FFFE and U+FFFF (Amazon
# SQS, "SendMessage").
_NOT_STORABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile(r"\\u[dDfF]")
_REPLACEMENT = "\ufffd"


def decode(body: bytes) -> object:
    """Decode JSON and replace characters that cannot be stored by U+FFFD. Raises `ValueError` for
    invalid JSON."""
    text = _storable(body.decode(errors="replace").lstrip("\ufeff"))
    try:
        value = _loads(text)
        if _ESCAPED.search(text):
            value = _loads(_storable(json.dumps(value, ensure_ascii=False)))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def convert(value: object, kind: type[S], *, strict: bool = True) -> tuple[S, tuple[str, ...]]:
    """Return the struct, and the names of its optional fields that could not be read.

    Null counts as absent. Without `strict`, "4" is accepted for 4. Raises `msgspec.ValidationError`
    for a required field.
    """
    if not isinstance(value, Mapping):
        raise msgspec.ValidationError(f"Expected `object`, got `{type(value).__name__}`")
    known: dict[str, object] = {}
    unreadable: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if value.get(name) is None and not field.required:
            continue
        try:
            known[field.name], within = _field(value.get(name), field.type, strict)
        except msgspec.ValidationError as error:
            if field.required:
                raise msgspec.ValidationError(f"{error} - at `{name}`") from error
            within = ("",)
        unreadable += (f"{name}.{inner}".rstrip(".") for inner in within)
    return kind(**known), tuple(unreadable)


def _field(value: object, kind: Any, strict: bool) -> tuple[object, tuple[str, ...]]:
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return convert(value, each, strict=strict)
    return msgspec.convert(value, kind, strict=strict), ()


def text_of(value: str | int | float) -> str:
    """Return `486` for 486.0. Telnyx sends codes as text and as numbers."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _loads(text: str) -> object:
    value: object = json.loads(text, parse_int=_integer)
    return value


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


def _storable(text: str) -> str:
    return _NOT_STORABLE.sub(_REPLACEMENT, text)
