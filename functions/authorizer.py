"""Authorizes requests with an API key, or with a token of the issuer in JWT_ISSUER.

Only the SHA-256 hashes of the keys are known here. Keys are long and random, so a plain hash cannot
be reversed and needs no salt.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

SCHEME = "bearer "


def handler(event: Mapping[str, Any], context: object) -> dict[str, bool]:
    """Return API Gateway's simple response (payload 2.0)."""
    return {"isAuthorized": _is_known(event["headers"].get("authorization", ""))}


def _is_known(authorization: str) -> bool:
    if not authorization.lower().startswith(SCHEME):
        return False
    credential = authorization[len(SCHEME) :].strip()
    if issuer := os.environ.get("JWT_ISSUER"):
        return _is_valid_token(credential, issuer, os.environ["JWT_AUDIENCE"])
    return _is_known_key(credential, os.environ["API_KEY_HASHES"].split(","))


def _is_known_key(key: str, hashes: list[str]) -> bool:
    offered = hashlib.sha256(key.encode()).hexdigest()
    # A list, so that the time does not tell which key matched.
    return any([hmac.compare_digest(offered, known) for known in hashes])


def _is_valid_token(token: str, issuer: str, audience: str) -> bool:
    # Ten times the rest of this function to import, and mostly not wanted.
    from control_plane.jwt_validation import is_valid

    return is_valid(token, issuer, audience)
