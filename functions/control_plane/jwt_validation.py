"""Validates JSON Web Tokens of the configured issuer (OpenID Connect Discovery)."""

import json
from functools import cache
from urllib.error import URLError
from urllib.request import urlopen

import jwt

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Only algorithms with public keys. With a shared secret, everybody who can check a token can also
issue one."""
TIMEOUT_SECONDS = 3


def is_valid(token: str, issuer: str, audience: str) -> bool:
    """Return whether the token is valid. Raises `OSError` if the issuer's keys cannot be
    fetched."""
    try:
        jwt.decode(
            token,
            _keys(issuer).get_signing_key_from_jwt(token),  # with the algorithm it is for
            ALGORITHMS,
            {"require": ["exp"]},
            audience=audience,
            issuer=issuer,
        )
    except jwt.PyJWKClientConnectionError as error:
        raise URLError(str(error)) from error
    except (jwt.InvalidTokenError, jwt.PyJWKClientError, UnicodeEncodeError):
        return False  # a lone surrogate cannot be encoded
    return True


def subject_of(valid_token: str) -> str:
    """Return the token's `sub` claim, or the token itself if it has none."""
    claims = jwt.decode(valid_token, options={"verify_signature": False})
    return str(claims.get("sub") or claims.get("client_id") or valid_token)


@cache
def _keys(issuer: str) -> jwt.PyJWKClient:
    """Return the issuer's keys, which are cached for five minutes."""
    discovery = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    with urlopen(discovery, timeout=TIMEOUT_SECONDS) as answer:
        return jwt.PyJWKClient(json.load(answer)["jwks_uri"], timeout=TIMEOUT_SECONDS)
