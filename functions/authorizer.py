"""Lambda: lets bearers of an API key through. It knows the keys by their SHA-256 alone.

Keys are long and random, so a plain hash cannot be turned back and needs no salt."""

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

SCHEME = "bearer "


def handler(event: Mapping[str, Any], context: object) -> dict[str, bool]:
    """Answers in API Gateway's simple format, payload 2.0."""
    return {"isAuthorized": _is_known(event["headers"].get("authorization", ""))}


def _is_known(authorization: str) -> bool:
    if not authorization.lower().startswith(SCHEME):
        return False
    offered = hashlib.sha256(authorization[len(SCHEME) :].strip().encode()).hexdigest()
    hashes = filter(None, os.environ["API_KEY_HASHES"].split(","))
    # A list, so that the time does not tell which key matched.
    return any([hmac.compare_digest(offered, known) for known in hashes])
