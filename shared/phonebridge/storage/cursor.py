"""Cursors of lists. They are opaque, so that clients do not depend on their content."""

import base64
import re

from phonebridge.errors import InvalidCursor


def encode_cursor(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, form: str) -> str | None:
    """Decode a cursor. Raises `InvalidCursor` unless the place has this form."""
    if cursor is None:
        return None
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        place = ""
    if not re.fullmatch(form, place):
        raise InvalidCursor()
    return place
