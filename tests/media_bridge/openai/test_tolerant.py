"""What is not quite as documented is read as far as it can be."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from media_bridge.openai import tolerant

HALF_A_PAIR = "\ud83d"


class Part(Struct):
    kind: str
    note: str | None = None


class Event(Struct):
    needed: str
    number: int = 0
    part: Part | None = None
    parts: tuple[Part, ...] = ()


EVENT = msgspec.json.Decoder(Event)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (json.dumps(f"caf{HALF_A_PAIR}"), "caf\ufffd"),
        (json.dumps(f"{HALF_A_PAIR}caf\u00e9 \U0001f600"), "\ufffdcaf\u00e9 \U0001f600"),
        (json.dumps({HALF_A_PAIR: [HALF_A_PAIR]}), {"\ufffd": ["\ufffd"]}),
        (b'"caf\xe9"', "caf\ufffd"),
        (memoryview(b'"caf\xe9"'), "caf\ufffd"),
    ],
)
def test_what_is_no_unicode_costs_one_character(text: tolerant.Text, read: object) -> None:
    assert tolerant.loads(text) == read
    msgspec.json.encode(tolerant.loads(text))


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_json)
def test_whatever_json_holds_can_be_written_again(value: Any) -> None:
    msgspec.json.encode(tolerant.loads(json.dumps(value)))


@pytest.mark.parametrize("noise", ["", "{", b"\xff", "[" * 100_000])
def test_what_is_no_json_is_told(noise: tolerant.Text) -> None:
    with pytest.raises((ValueError, RecursionError)):
        tolerant.loads(noise)


@pytest.mark.parametrize(
    ("value", "read", "absent"),
    [
        ({"number": None}, Event("yes"), ["number"]),
        ({"number": "7", "part": 7}, Event("yes"), ["number", "part"]),
        ({"part": {"kind": "a", "note": 7}}, Event("yes", part=Part("a")), ["part.note"]),
        ({"part": {"note": "a"}}, Event("yes"), ["part"]),
        ({"part": {"kind": []}}, Event("yes"), ["part.kind", "part"]),
        (
            {"parts": [{"kind": "a"}, {"kind": "b", "note": []}]},
            Event("yes", parts=(Part("a"), Part("b"))),
            ["parts[1].note"],
        ),
        ({"parts": [7]}, Event("yes"), ["parts[0]"]),
    ],
)
def test_what_cannot_be_read_counts_as_absent(
    value: dict[str, Any], read: Event, absent: list[str]
) -> None:
    assert tolerant.repair({"needed": "yes"} | value, EVENT) == (read, absent)


@pytest.mark.parametrize("value", [{}, {"needed": None}, {"needed": 7, "number": []}, [], None, 7])
def test_what_is_of_no_use_is_told(value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        tolerant.repair(value, EVENT)


def test_a_value_with_faults_without_end_is_given_up() -> None:
    parts = [{"kind": "a", "note": 7}] * (tolerant.MAX_REPAIRS + 1)
    with pytest.raises(msgspec.ValidationError):
        tolerant.repair({"needed": "yes", "parts": [dict(each) for each in parts]}, EVENT)
