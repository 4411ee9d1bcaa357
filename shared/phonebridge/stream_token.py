"""The token that authorizes a media socket: an HMAC over call id, stream number and expiry. Telnyx
or a browser carries it from a Lambda to the media container. The lifecycle makes sure that it is
used only once (`MediaAttached`)."""

import base64
import hashlib
import hmac

from phonebridge.errors import InvalidToken

LIFETIME_SECONDS = 120


def issue(secret: str, call_id: str, stream_number: int, now_ms: int) -> str:
    expires_at = now_ms // 1000 + LIFETIME_SECONDS
    return f"{stream_number}.{expires_at}.{_signature(secret, call_id, stream_number, expires_at)}"


def verify(secret: str, token: str, call_id: str, now_ms: int) -> int:
    """Return the number of the stream that the token opens. Raises `InvalidToken`."""
    number, expiry, signature = (*token.split(".", 2), "", "")[:3]
    if not (_is_decimal(number) and _is_decimal(expiry)):
        raise InvalidToken("The stream token was not issued by this installation.")
    expected = _signature(secret, call_id, int(number), int(expiry))
    # picows marks bytes that are not ASCII as lone surrogates, which plain UTF-8 cannot encode.
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="surrogatepass")):
        raise InvalidToken("The stream token was not issued for this call.")
    if int(expiry) * 1000 < now_ms:
        raise InvalidToken("The stream token has expired.")
    return int(number)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12


def _signature(secret: str, call_id: str, stream_number: int, expires_at: int) -> str:
    message = f"{call_id}|{stream_number}|{expires_at}".encode()
    digest = hmac.new(secret.encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
