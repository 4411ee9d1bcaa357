"""GET / and /console/*: the talk page. It needs no key, because its files contain no secret."""

import os
from typing import Any

from control_plane.console_files import respond


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if_none_match = (event.get("headers") or {}).get("if-none-match", "")
    return respond(event["rawPath"], if_none_match, os.environ)
