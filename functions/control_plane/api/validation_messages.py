"""Translates Pydantic's errors into the words of the API: what a field must be."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from control_plane.api.requests.fields import PLAIN, did_you_mean
from control_plane.api.requests.tool_settings import TOOL_TAGS

NO_UNICODE = "must be Unicode text, without lone surrogates"

# What Pydantic puts into a field's path, though no sender wrote it: the members of unions, and a
# mark that a name is wrong rather than its value.
_NOT_WRITTEN = (*TOOL_TAGS, "[key]")
_DETECTORS = ("server_vad", "semantic_vad")

_Found = Mapping[str, Any]


def path_of(found: _Found) -> str:
    """Return the path in the body, such as `turn_detection.threshold` for ("body",
    "turn_detection", "server_vad", "threshold")."""
    _, *parts = found["loc"]
    written = [
        str(part)
        for before, part in zip(["", *parts], parts, strict=False)
        if part not in _NOT_WRITTEN and not (before == "turn_detection" and part in _DETECTORS)
    ]
    if found["type"] in ("union_tag_not_found", "union_tag_invalid"):
        written.append("type")
    return ".".join(written) or "body"


def problem_of(found: _Found) -> str:
    tell = _PROBLEMS.get(found["type"])
    return tell(found) if tell else "is not valid here"


def _json_type(value: object) -> str:
    """Return the JSON name of the value's type."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _must_be(kind: str) -> Callable[[_Found], str]:
    return lambda found: f"must be {kind}, not {_json_type(found['input'])}"


def _limit(rule: str, of: str) -> Callable[[_Found], str]:
    return lambda found: f"must {rule.format(found['ctx'][of])}"


def _too_few(name: str) -> Callable[[_Found], str]:
    def tell(found: _Found) -> str:
        least = found["ctx"]["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} {name}"

    return tell


def _choices(found: _Found) -> str:
    """Parse the choices, which Pydantic lists as `'a', 'b' or 'c'`."""
    known = re.findall(r"'([^']*)'", found["ctx"].get("expected") or found["ctx"]["expected_tags"])
    value = found["ctx"].get("tag", found["input"])
    rule = "be" if len(known) == 1 else "be one of"
    return f"must {rule} {', '.join(f'`{each}`' for each in known)}{did_you_mean(value, known)}"


def _value_error(found: _Found) -> str:
    error = found["ctx"]["error"]
    return NO_UNICODE if isinstance(error, UnicodeError) else str(error)


def _whole(found: _Found) -> str:
    wrong = "" if isinstance(found["input"], float) else f", not {_json_type(found['input'])}"
    return f"must be a whole number{wrong}"


_object = _must_be("an object")

_PROBLEMS: Mapping[str, Callable[[_Found], str]] = {
    PLAIN: lambda found: str(found["ctx"]["problem"]),
    "value_error": _value_error,
    "missing": lambda _: "is required",
    "string_unicode": lambda _: NO_UNICODE,
    "string_type": _must_be("text"),
    "string_too_short": _too_few("characters"),
    "string_too_long": _limit("have at most {} characters", "max_length"),
    "int_type": _whole,
    "int_from_float": _whole,
    "float_type": _must_be("a number"),
    "bool_type": _must_be("true or false"),
    "greater_than_equal": _limit("be at least {}", "ge"),
    "less_than_equal": _limit("be at most {}", "le"),
    "literal_error": _choices,
    "union_tag_not_found": lambda _: "is required: `server_vad` or `semantic_vad`",
    "union_tag_invalid": _choices,
    "list_type": _must_be("a list"),
    "too_short": _too_few("entries"),
    "too_long": _limit("have at most {} entries", "max_length"),
    "dict_type": _object,
    "model_type": _object,
    "model_attributes_type": _object,
    "datetime_parsing": lambda _: "must be a time, such as 2026-11-25T10:00:00Z",
    "datetime_from_date_parsing": lambda _: "must be a time, such as 2026-11-25T10:00:00Z",
    "datetime_type": _must_be("a time, such as 2026-11-25T10:00:00Z"),
}
