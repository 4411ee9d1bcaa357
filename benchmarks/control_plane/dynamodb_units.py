"""What DynamoDB bills for a request, in read and write units ("Read/write capacity mode")."""

import math
from collections.abc import Mapping
from typing import Any

WRITE_UNIT_BYTES, READ_UNIT_BYTES = 1024, 4096

Item = Mapping[str, Any]


def write_units(item: Item) -> int:
    return max(1, math.ceil(item_bytes(item) / WRITE_UNIT_BYTES))


def read_units(read_bytes: int, consistent: bool) -> float:
    """An eventually consistent read costs half."""
    return max(1, math.ceil(read_bytes / READ_UNIT_BYTES)) * (1 if consistent else 0.5)


def item_bytes(item: Item) -> int:
    """The size of names and values in UTF-8 ("Item sizes and formats")."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(attribute: Mapping[str, Any]) -> int:
    match attribute:
        case {"M": values}:
            return 3 + sum(1 + len(n.encode()) + _value_bytes(v) for n, v in values.items())
        case {"N": number}:
            return math.ceil(len(number) / 2) + 1
        case {"S": text}:
            return len(text.encode())
    return 1
