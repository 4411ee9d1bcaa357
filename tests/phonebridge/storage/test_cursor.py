"""Where a list goes on."""

import pytest

from phonebridge.errors import InvalidCursor
from phonebridge.storage.cursor import decode_cursor, encode_cursor

NAME = "[a-z-]{1,64}"


@pytest.mark.parametrize("place", ["a", "ab", "front-desk", "z" * 64])
def test_a_place_comes_back_from_a_cursor_that_can_stand_in_a_url(place: str) -> None:
    cursor = encode_cursor(place)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor, NAME) == place


def test_a_list_that_is_not_gone_on_with_begins_at_its_beginning() -> None:
    assert decode_cursor(None, NAME) is None


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "\u00c4", "%%%", encode_cursor("+15550100"), "_w"]
)
def test_what_leads_nowhere_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor, match="cursor"):
        decode_cursor(cursor, NAME)
