from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.openai.examples import example_of

STRINGS = st.one_of(
    st.just({"type": "string"}),
    st.builds(
        lambda low, extra: {"type": "string", "minLength": low, "maxLength": low + extra},
        st.integers(0, 40),
        st.integers(0, 10),
    ),
    st.sampled_from(["date", "date-time", "email", "uri", "uuid", "time", "unheard-of"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.lists(st.text(max_size=5), min_size=1, max_size=3).map(lambda texts: {"enum": texts}),
)
NUMBERS = st.builds(
    lambda kind, low, width, exclusive: {
        "type": kind,
        ("exclusiveMinimum" if exclusive else "minimum"): low,
        "maximum": low + width,
    },
    st.sampled_from(["integer", "number"]),
    st.integers(-1000, 1000),
    st.integers(1, 50),
    st.booleans(),
)
PLAIN = st.one_of(
    STRINGS,
    NUMBERS,
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["null", "integer"]}]),
    st.integers(1, 60).map(lambda step: {"type": "integer", "multipleOf": step}),
    st.just({"type": "string", "default": "the usual"}),
)


def combine(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["day", "name", "count"])
    return st.one_of(
        st.builds(
            lambda items, count: {"type": "array", "items": items, "minItems": count},
            inner,
            st.integers(0, 3),
        ),
        st.dictionaries(names, inner, max_size=3).map(
            lambda each: {"type": "object", "properties": each, "required": [*each]}
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda each: {"anyOf": each}),
    )


@given(schema=st.recursive(PLAIN, combine, max_leaves=8))
def test_the_example_of_a_schema_is_valid(schema: dict[str, Any]) -> None:
    jsonschema.validate(example_of(schema), schema)


@pytest.mark.parametrize(
    "pattern", [r"^\+[1-9]\d{6,14}$", "^[A-Z]{3}-[0-9]+$", "a|b", "", r"\bend$"]
)
def test_a_pattern_is_matched(pattern: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    jsonschema.validate(example_of(schema), schema)


def test_properties_that_need_not_be_given_are_filled_in() -> None:
    properties = {"day": {"type": "string"}, "guests": {"type": "integer", "minimum": 2}}
    schema = {"type": "object", "properties": properties, "required": ["day"]}
    assert example_of(schema) == {"day": "example", "guests": 2}


def test_references_and_parts_are_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"slot": {"$ref": "#/$defs/slot"}, "note": {"anyOf": [{"type": "null"}]}},
        "required": ["slot"],
        "$defs": {
            "slot": {"allOf": [{"type": "object"}, {"properties": {"day": {"const": "Friday"}}}]}
        },
    }
    assert example_of(schema)["slot"] == {"day": "Friday"}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}]},
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}},
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/elsewhere"},
    ],
    ids=repr,
)
def test_a_schema_that_never_ends_has_an_example_that_does(schema: dict[str, Any]) -> None:
    example_of(schema)


@pytest.mark.parametrize("schema", [{}, {"type": "nonsense"}, {"properties": True}, {"items": 1}])
def test_an_odd_schema_does_no_harm(schema: dict[str, Any]) -> None:
    example_of(schema)
