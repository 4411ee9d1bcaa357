"""Sizes and units as DynamoDB bills them."""

import pytest

from benchmarks.control_plane.dynamodb_units import Item, item_bytes, read_units, write_units


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"pk": {"S": "CALL#1"}}, 8),
        ({"to": {"S": "ü"}}, 4),
        ({"n": {"N": "12345"}}, 5),
        ({"m": {"M": {"a": {"S": "bc"}}}}, 8),
        ({"b": {"BOOL": True}}, 2),
    ],
)
def test_names_and_values_count_in_utf8(item: Item, size: int) -> None:
    assert item_bytes(item) == size


def test_a_write_unit_holds_a_kilobyte() -> None:
    sizes = (0, 1023, 1024, 2047)
    assert [write_units({"a": {"S": "x" * size}}) for size in sizes] == [1, 1, 2, 2]


def test_a_read_unit_holds_four_kilobytes_and_an_eventual_read_costs_half() -> None:
    assert [read_units(size, consistent=True) for size in (0, 4096, 4097)] == [1, 1, 2]
    assert read_units(4097, consistent=False) == 1
