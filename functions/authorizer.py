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
FINGERPRINT_DIGITS = 12
"""The first digits of a SHA-256 distinguish keys, and do not reveal them."""


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Return API Gateway's simple response (payload 2.0). The API finds `client` in its event."""
    client = _client_of(event["headers"].get("authorization", ""))
    return {"isAuthorized": True, "context": {"client": client}} if client else _STRANGER


_STRANGER = {"isAuthorized": False}


def _client_of(authorization: str) -> str | None:
    """Return the fingerprint of the client, or None if its credential is not valid."""
    if not authorization.lower().startswith(SCHEME):
        return None
    credential = authorization[len(SCHEME) :].strip()
    if issuer := os.environ.get("JWT_ISSUER"):
        subject = _subject_of(credential, issuer, os.environ["JWT_AUDIENCE"])
        return None if subject is None else f"sub-{_fingerprint(subject)}"
    is_known = _is_known_key(credential, os.environ["API_KEY_HASHES"].split(","))
    return f"key-{_fingerprint(credential)}" if is_known else None


def _fingerprint(text: str) -> str:
    return _hash(text)[:FINGERPRINT_DIGITS]


def _hash(text: str) -> str:
    # A lone surrogate is no character, so such a text equals no key. It must not raise either.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _is_known_key(key: str, hashes: list[str]) -> bool:
    offered = _hash(key)
    # A list, so that the time does not tell which key matched.
    return any([hmac.compare_digest(offered, known) for known in hashes])


def _subject_of(token: str, issuer: str, audience: str) -> str | None:
    # Ten times the rest of this function to import, and mostly not wanted.
    from control_plane.jwt_validation import is_valid, subject_of

    return subject_of(token) if is_valid(token, issuer, audience) else None
