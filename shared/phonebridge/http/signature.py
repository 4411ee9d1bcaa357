"""Signatures by which a user's server recognises requests of this installation (docs/tools.md)."""

import hashlib
import hmac

TIMESTAMP_HEADER = "Phonebridge-Timestamp"
SIGNATURE_HEADER = "Phonebridge-Signature"


def sign(secret: str, body: bytes, now_ms: int) -> dict[str, str]:
    """Return the signature headers: Unix seconds, and the HMAC-SHA256 of `timestamp|body` in
    hexadecimal."""
    timestamp = str(now_ms // 1000)
    digest = hmac.new(secret.encode(), f"{timestamp}|".encode() + body, hashlib.sha256)
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: f"v1={digest.hexdigest()}"}


def derive_secret(stream_token_secret: str, purpose: str) -> str:
    """Derive the secret for a purpose for which the operator set none."""
    return hmac.new(stream_token_secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()
