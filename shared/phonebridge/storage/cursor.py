"""Where a list goes on, as its readers hold it: opaque, so that nobody builds on what it holds."""

import base64
import re

from phonebridge.errors import InvalidCursor


def encode_cursor(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, form: str) -> str | None:
    """Raises `InvalidCursor` unless the place looks like this."""
    if cursor is None:
        return None
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        place = ""
    if not re.fullmatch(form, place):
        raise InvalidCursor()
    return place
