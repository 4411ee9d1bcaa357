import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonebridge.telnyx.tolerant_json import MAX_INTEGER_DIGITS, convert, decode, text_of

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STORABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STORABLE, inner, max_size=3),
    max_leaves=8,
)


class Person(msgspec.Struct):
    name: str
    age: int | None = None
    nickname: str = ""


@given(st.dictionaries(STORABLE, ANYTHING))
def test_json_is_read_as_python_reads_it(value: dict[str, Any]) -> None:
    assert repr(decode(json.dumps(value).encode())) == repr(json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'{"name":"\ud83d Jo"}', {"name": "\ufffd Jo"}),
        (rb'{"name":"Jo \uDE00"}', {"name": "Jo \ufffd"}),
        (rb'{"\udfff":["\ud800\ud800"]}', {"\ufffd": ["\ufffd\ufffd"]}),
        (rb'{"name":"\ud83d\ude00"}', {"name": "\U0001f600"}),
        (rb'{"name":"\uffff\ufffe"}', {"name": "\ufffd\ufffd"}),
        (b'{"name":"\xef\xbf\xbf"}', {"name": "\ufffd"}),
        (b'{"name":"\xed\xa0\x80"}', {"name": "\ufffd\ufffd\ufffd"}),
        (b'{"name":"\xff"}', {"name": "\ufffd"}),
        (rb'{"name":"\\ud800"}', {"name": r"\ud800"}),
        (b'\xef\xbb\xbf{"name":"Jo"}', {"name": "Jo"}),
        (b'{"name":"Jo","name":"Jim"}', {"name": "Jim"}),
        (b'{"age":-Infinity}', {"age": -math.inf}),
        (b'{"age":1e999}', {"age": math.inf}),
    ],
)
def test_what_strict_readers_refuse_is_read_and_can_be_stored(body: bytes, read: object) -> None:
    assert decode(body) == read


@pytest.mark.parametrize("digits", [MAX_INTEGER_DIGITS, MAX_INTEGER_DIGITS + 1, 5_000, 50_000])
def test_a_number_may_be_as_long_as_it_likes(digits: int) -> None:
    assert isinstance(decode(b'{"age":' + b"9" * digits + b"}"), dict)


@given(st.integers(1, 400))
def test_nesting_within_reason_is_read(depth: int) -> None:
    assert isinstance(decode(b'{"x":' + b"[" * depth + b"]" * depth + b"}"), dict)


@given(st.binary())
def test_bytes_are_json_or_a_value_error(body: bytes) -> None:
    try:
        value = decode(body)
    except ValueError:
        return
    msgspec.json.encode(value)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"hello", b"\xff\xfe{"])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode(body)


@given(st.text(), ANYTHING, ANYTHING)
def test_an_optional_field_may_be_anything(name: str, age: object, nickname: object) -> None:
    person, unreadable = convert({"name": name, "age": age, "nickname": nickname}, Person)
    assert person.name == name
    assert person.age in (None, age)
    assert person.nickname in ("", nickname)
    strange = {
        "age": age is not None and person.age is None,
        "nickname": nickname is not None and not isinstance(nickname, str),
    }
    assert set(unreadable) == {field for field, is_strange in strange.items() if is_strange}


class Couple(msgspec.Struct):
    first: Person
    second: Person | None = None


def test_a_struct_within_a_struct_is_read_alike() -> None:
    jo = {"name": "Jo", "age": "old"}
    couple, unreadable = convert({"first": jo, "second": {"name": "Jim", "age": []}}, Couple)
    assert couple == Couple(Person("Jo"), Person("Jim"))
    assert unreadable == ("first.age", "second.age")
    single, unreadable = convert({"first": jo, "second": {"age": 7}}, Couple)
    assert single == Couple(Person("Jo"))
    assert unreadable == ("first.age", "second")
    with pytest.raises(msgspec.ValidationError):
        convert({"first": {"age": 7}}, Couple)


@pytest.mark.parametrize("value", [{}, {"name": None}, {"name": 7}, [], "Jo", None])
def test_a_required_field_is_required(value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        convert(value, Person)


@pytest.mark.parametrize(
    ("code", "text"), [("90018", "90018"), (90018, "90018"), (486.0, "486"), (1.5, "1.5")]
)
def test_a_code_reads_the_same_as_text_and_as_a_number(code: str | int | float, text: str) -> None:
    assert text_of(code) == text
