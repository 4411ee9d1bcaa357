"""docs/api.md says what the API serves, and shows a record that has every field."""

import json
from collections.abc import Mapping
from typing import Any

import api_reference

DOCUMENT = api_reference.served_document()
SAMPLE = json.loads(api_reference.SAMPLE.read_text())


def test_the_page_is_generated_from_the_document() -> None:
    assert api_reference.PAGE.read_text() == api_reference.page(DOCUMENT, SAMPLE)


def test_the_sample_record_has_every_field() -> None:
    schema: Mapping[str, Any] = DOCUMENT["components"]["schemas"]["CallDetails"]
    assert set(SAMPLE) == set(schema["properties"])


def test_every_route_has_a_heading() -> None:
    page = api_reference.page(DOCUMENT, SAMPLE)
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            assert f"### {method.upper()} {path}\n" in page
