"""Where a list goes on."""

import pytest

from phonebridge.cursor import cursor_of, place_of
from phonebridge.errors import InvalidCursor

NAME = "[a-z-]{1,64}"


@pytest.mark.parametrize("place", ["a", "ab", "front-desk", "z" * 64])
def test_a_place_comes_back_from_a_cursor_that_can_stand_in_a_url(place: str) -> None:
    cursor = cursor_of(place)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert place_of(cursor, NAME) == place


def test_a_list_that_is_not_gone_on_with_begins_at_its_beginning() -> None:
    assert place_of(None, NAME) is None


@pytest.mark.parametrize("cursor", ["", "nonsense", "\u00c4", "%%%", cursor_of("+15550100"), "_w"])
def test_what_leads_nowhere_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor, match="cursor"):
        place_of(cursor, NAME)
