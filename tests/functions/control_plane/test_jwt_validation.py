"""Whose tokens open the API: an issuer behind a socket, and tokens right but for one thing."""

import base64
import json
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.error import URLError

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import (
    generate_private_key as generate_elliptic_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

import authorizer
from control_plane import jwt_validation
from control_plane.jwt_validation import is_valid
from tests.support.served import QuietHandler, served

AUDIENCE = "phonebridge"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def issuer(key: RSAPrivateKey) -> Iterator[str]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    documents: dict[str, dict[str, Any]] = {
        "/keys": {"keys": [public | {"kid": "1", "use": "sig", "alg": "RS256"}]}
    }

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(documents[self.path]).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_port}"
    documents["/.well-known/openid-configuration"] = {"jwks_uri": f"{base}/keys"}
    with served(server):
        yield base


def claims(issuer: str, **changes: Any) -> dict[str, Any]:
    given = {"iss": issuer, "aud": AUDIENCE, "exp": int(time.time()) + 600, "sub": "a program"}
    return {name: value for name, value in (given | changes).items() if value is not None}


def sign(key: RSAPrivateKey, of: dict[str, Any], kid: str = "1") -> str:
    return jwt.encode(of, key, "RS256", {"kid": kid})


def test_a_token_of_the_issuer_for_this_api_is_valid(issuer: str, key: RSAPrivateKey) -> None:
    assert is_valid(sign(key, claims(issuer)), issuer, AUDIENCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another service"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 32_503_680_000},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_not(
    changes: dict[str, Any], issuer: str, key: RSAPrivateKey
) -> None:
    assert not is_valid(sign(key, claims(issuer, **changes)), issuer, AUDIENCE)


def test_a_token_that_somebody_else_signed_is_not(issuer: str) -> None:
    forger = generate_private_key(public_exponent=65537, key_size=2048)
    assert not is_valid(sign(forger, claims(issuer)), issuer, AUDIENCE)
    assert not is_valid(sign(forger, claims(issuer), kid="2"), issuer, AUDIENCE)


def test_nothing_is_valid_without_a_public_keys_signature(issuer: str) -> None:
    unsigned = jwt.encode(claims(issuer), "", "none", {"kid": "1"})
    shared = jwt.encode(claims(issuer), "s" * 32, "HS256", {"kid": "1"})
    for token in (unsigned, shared, "", "not.a.token", "a-key-of-the-tests"):
        assert not is_valid(token, issuer, AUDIENCE)


def test_a_key_serves_its_own_algorithm_alone(issuer: str, key: RSAPrivateKey) -> None:
    elliptic = generate_elliptic_key(SECP256R1())
    assert not is_valid(
        jwt.encode(claims(issuer), elliptic, "ES256", {"kid": "1"}), issuer, AUDIENCE
    )
    longer = jwt.encode(claims(issuer), key, "RS512", {"kid": "1"})
    assert not is_valid(longer, issuer, AUDIENCE)  # the issuer says that its key is for RS256


SURROGATES = st.text(st.characters(categories=["Cs"]), min_size=1)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | SURROGATES)
def test_no_text_upsets_it(issuer: str, text: str) -> None:
    assert not is_valid(text, issuer, AUDIENCE)
    assert not is_valid(
        f"{_part({'alg': 'RS256', 'kid': text})}.{_part(text)}.AA", issuer, AUDIENCE
    )


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_an_issuer_that_does_not_answer_is_an_error_and_no_refusal(key: RSAPrivateKey) -> None:
    nobody = "http://127.0.0.1:9"
    with pytest.raises(URLError):
        is_valid(sign(key, claims(nobody)), nobody, AUDIENCE)


def test_keys_that_cannot_be_had_are_an_error_and_no_refusal(
    issuer: str, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = jwt.PyJWKClient("http://127.0.0.1:9/keys")
    monkeypatch.setattr(jwt_validation, "_keys", lambda issuer: gone)
    with pytest.raises(URLError):
        is_valid(sign(key, claims(issuer)), issuer, AUDIENCE)


def test_where_an_issuer_is_set_its_tokens_open_the_api_and_keys_do_not(
    issuer: str, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_ISSUER", issuer)
    monkeypatch.setenv("JWT_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("API_KEY_HASHES", "")

    def is_authorized(credential: str) -> bool:
        event = {"headers": {"authorization": f"Bearer {credential}"}}
        return bool(authorizer.handler(event, None)["isAuthorized"])

    assert is_authorized(sign(key, claims(issuer)))
    assert not is_authorized(sign(key, claims(issuer, exp=1)))
    assert not is_authorized("a-key-of-the-tests")


def test_a_subject_has_one_fingerprint_whichever_of_its_tokens_it_sends(
    issuer: str, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_ISSUER", issuer)
    monkeypatch.setenv("JWT_AUDIENCE", AUDIENCE)
    soon = int(time.time()) + 300

    def client(**changes: Any) -> str:
        headers = {"authorization": f"Bearer {sign(key, claims(issuer, **changes))}"}
        return str(authorizer.handler({"headers": headers}, None)["context"]["client"])

    assert client() == client(exp=soon)
    assert client() != client(sub="another program")
    assert client(sub=None).startswith("sub-")
