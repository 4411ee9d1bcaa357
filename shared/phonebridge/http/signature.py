"""The proof that a request to somebody's server comes from here (docs/tools.md)."""

import hashlib
import hmac

TIMESTAMP_HEADER = "Phonebridge-Timestamp"
SIGNATURE_HEADER = "Phonebridge-Signature"


def sign(secret: str, body: bytes, now_ms: int) -> dict[str, str]:
    """Headers: Unix seconds, and the HMAC-SHA256 of `timestamp|body` in hexadecimal."""
    timestamp = str(now_ms // 1000)
    digest = hmac.new(secret.encode(), f"{timestamp}|".encode() + body, hashlib.sha256)
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: f"v1={digest.hexdigest()}"}


def derive_secret(stream_token_secret: str, purpose: str) -> str:
    """Where the operator gave no secret of its own for that."""
    return hmac.new(stream_token_secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()
