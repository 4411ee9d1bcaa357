"""Checks that a webhook comes from Telnyx. Verify first, then parse (`webhook.py`)."""

import base64
from collections.abc import Mapping

import cryptography.exceptions
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from phonebridge.errors import InvalidSignature, NotConfigured

TOLERANCE_SECONDS = 300
SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"

_PUBLIC_KEY_BYTES = 32


def verify(public_key_base64: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> None:
    """Raise `InvalidSignature` unless Telnyx signed this body within the tolerance. The signature
    is Ed25519 over timestamp, `|` and raw body (Telnyx, "Webhook fundamentals")."""
    public_key = _public_key(public_key_base64)
    by_name = {name.lower(): value for name, value in headers.items()}
    signature = _header(by_name, SIGNATURE_HEADER)
    timestamp = _header(by_name, TIMESTAMP_HEADER)
    _check_age(timestamp, now_ms)
    try:
        public_key.verify(
            base64.b64decode(signature, validate=True), timestamp.encode() + b"|" + body
        )
    except ValueError as error:
        raise InvalidSignature("The webhook's signature is not base64.") from error
    except cryptography.exceptions.InvalidSignature as error:
        raise InvalidSignature("The webhook's signature does not match its body.") from error


def _public_key(public_key_base64: str) -> Ed25519PublicKey:
    try:
        raw = base64.b64decode(public_key_base64, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _PUBLIC_KEY_BYTES:
        raise NotConfigured(
            "TELNYX_PUBLIC_KEY must be the base64 of the account's 32-byte Ed25519 key."
        )
    return Ed25519PublicKey.from_public_bytes(raw)


def _header(by_name: Mapping[str, str], name: str) -> str:
    value = by_name.get(name)
    if not value:
        raise InvalidSignature(f"The webhook has no {name} header.")
    return value


def _check_age(timestamp: str, now_ms: int) -> None:
    try:
        age_ms = now_ms - int(timestamp) * 1000
    except ValueError as error:
        raise InvalidSignature("The webhook's timestamp is not a number of seconds.") from error
    if abs(age_ms) > TOLERANCE_SECONDS * 1000:
        raise InvalidSignature(
            f"The webhook was not signed within {TOLERANCE_SECONDS} seconds of now."
        )
