"""Makes a value that a JSON schema allows. The simulated model calls tools with such arguments."""

import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 16
"""How deep a schema that refers to itself is followed."""
OPTIONAL_DEPTH = 3
"""How deep optional properties are filled in."""
FORMATS = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T09:30:00Z",
    "duration": "PT30M",
    "email": "caller@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "09:30:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Schema = Mapping[str, Any]


def example_of(schema: Schema) -> Any:
    """Return a value that the schema allows, or an empty object if it is not a schema."""
    try:
        return _example(schema, schema, 0)
    except (AttributeError, LookupError, TypeError, ValueError):
        return {}


def _example(schema: Any, root: Schema, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return None
    schema = _resolve(schema, root, depth)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("enum", "examples"):
        if schema.get(name):
            return schema[name][0]
    return _example_of_type(_type_of(schema), schema, root, depth)


def _example_of_type(kind: str, schema: Schema, root: Schema, depth: int) -> Any:
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "string":
            return _string(schema)
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return True
    return None


def _resolve(schema: Schema, root: Schema, depth: int) -> Schema:
    """Follow the schema's reference, and merge it with one of its alternatives. `null` is chosen
    only if nothing else is allowed."""
    if depth > MAX_DEPTH:
        return {}
    merged: dict[str, Any] = {}
    if str(schema.get("$ref", "")).startswith("#"):
        merged |= _resolve(_find(root, schema["$ref"]), root, depth + 1)
    merged |= {name: value for name, value in schema.items() if name != "$ref"}
    parts = [*merged.pop("allOf", ())]
    for name in ("anyOf", "oneOf"):
        parts += sorted(merged.pop(name, ()), key=_is_null)[:1]
    for part in parts:
        merged = _merge(merged, _resolve(part, root, depth + 1))
    return merged


def _find(root: Schema, reference: str) -> Schema:
    found: Any = root
    for name in filter(None, reference.removeprefix("#").split("/")):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _merge(one: Mapping[str, Any], other: Schema) -> dict[str, Any]:
    properties = {**one.get("properties", {}), **other.get("properties", {})}
    required = [*one.get("required", ()), *other.get("required", ())]
    both = {**other, **one}
    return both | ({"properties": properties, "required": required} if properties else {})


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _type_of(schema: Schema) -> str:
    stated = schema.get("type")
    if isinstance(stated, list):
        return next((each for each in stated if each != "null"), "null")
    if stated:
        return str(stated)
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _object(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    """Return an object that also has the optional properties, so that each of them is tried."""
    required = schema.get("required", ())
    named = {
        name: _example(each, root, depth + 1)
        for name, each in schema.get("properties", {}).items()
        if name in required or depth < OPTIONAL_DEPTH
    }
    missing = [name for name in required if name not in named]
    return named | dict.fromkeys(missing, "example")


def _array(schema: Schema, root: Schema, depth: int) -> list[Any]:
    count = max(1, schema.get("minItems", 1))
    items = [_example(schema.get("items", {}), root, depth + 1)] * count
    return items[: schema.get("maxItems", count)]


def _string(schema: Schema) -> str:
    if "pattern" in schema:
        return _matching(schema["pattern"])
    text = FORMATS.get(schema.get("format", ""), "example")
    longest: int | None = schema.get("maxLength")
    return text.ljust(schema.get("minLength", 0), "x")[:longest]


def _matching(pattern: str) -> str:
    """Return the shortest text in which the pattern is found."""
    from hypothesis import find, settings
    from hypothesis.strategies import from_regex

    quiet = settings(database=None, derandomize=True, deadline=None)
    found: str = find(from_regex(pattern), lambda text: True, settings=quiet)
    return found


def _number(schema: Schema, *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1 if whole else 0)
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(above, int | float):
        low = max(low, above + (step or 1e-6))
    if isinstance(below, int | float):
        high = min(high, below - (step or 1e-6))
    value: float = min(max(1, low), high)
    if step:
        value = math.ceil(value / step) * step if value != high else math.floor(value / step) * step
    return round(value) if whole else value
