"""Items on the wire, read as far as they can be."""

import json
from typing import Any

import pytest
from msgspec import Raw

from media_bridge.openai import items


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def item(**fields: Any) -> items.ConversationItem:
    read = items.read(raw({"type": "message", "id": "i"} | fields))
    assert read is not None
    return read


SAID = {"type": "output_audio", "transcript": "Good morning."}


@pytest.mark.parametrize(
    "content",
    [
        [SAID],
        [SAID | {"type": "audio", "id": 7}],
        [None, 7, {"type": "output_text", "text": "Unsaid."}, {"transcript": 7}, SAID],
        [{"transcript": "Good"}, {"transcript": "morning."}],
    ],
)
def test_what_is_said_in_an_item_is_told_by_the_transcripts_of_its_parts(content: Any) -> None:
    assert item(content=content).transcript == "Good morning."


@pytest.mark.parametrize("content", [None, 7, [], ["Hi"], [{"transcript": None}], [{"text": "Hi"}]])
def test_an_item_without_a_transcript_says_nothing(content: Any) -> None:
    assert item(content=content).transcript == ""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ('{"number":"17"}', '{"number":"17"}'),
        ({"number": "17"}, '{"number":"17"}'),
        (None, ""),
        ([7], "[7]"),
        ('{"number":"1\ud83d7"}', '{"number":"1\ufffd7"}'),
        ('{"number":"1\\ud83d7"}', '{"number":"1\ufffd7"}'),
        ('{"number":', '{"number":'),
    ],
)
def test_arguments_are_read_as_far_as_they_can_be(given: object, read: str) -> None:
    assert item(type="function_call", arguments=given).arguments_text == read


def test_a_strange_field_costs_no_other() -> None:
    strange = item(role=7, status=[], name={}, call_id=None, server_label=True)
    assert strange == item()


@pytest.mark.parametrize("value", [None, 7, "item", [], {}, {"type": None}])
def test_what_is_no_item_is_none(value: object) -> None:
    assert items.read(raw(value)) is None


@pytest.mark.parametrize("output", [None, "none", 7, {}])
def test_an_output_that_is_no_list_has_no_items(output: object) -> None:
    assert items.read_all(raw(output)) == []


def test_items_that_cannot_be_read_cost_no_others() -> None:
    assert items.read_all(raw([7, {"type": "message", "id": "i"}, None])) == [item()]
