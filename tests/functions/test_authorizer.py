"""Only requests with a key whose hash is known may use the API."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import authorizer

EVENT = Path(__file__).parents[2] / "events" / "authorizer.json"
KEY = "a-key-of-the-tests"


def hash_of(key: str) -> str:
    return sha256(key.encode()).hexdigest()


@pytest.fixture(autouse=True)
def known_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY_HASHES", f"{hash_of('the-next-key')},{hash_of(KEY)}")


def is_authorized(**headers: str) -> bool:
    event: dict[str, Any] = json.loads(EVENT.read_text())
    is_known: bool = authorizer.handler(event | {"headers": headers}, None)["isAuthorized"]
    return is_known


def test_the_sample_event_bears_a_known_key() -> None:
    found = authorizer.handler(json.loads(EVENT.read_text()), None)
    assert found["isAuthorized"]


def test_the_api_learns_the_keys_fingerprint_and_nothing_else_of_it() -> None:
    found = authorizer.handler(json.loads(EVENT.read_text()), None)
    assert found["context"] == {"client": f"key-{hash_of(KEY)[:12]}"}


@pytest.mark.parametrize("key", [KEY, "the-next-key"])
def test_while_a_key_is_replaced_the_old_and_the_new_one_open(key: str) -> None:
    assert is_authorized(authorization=f"Bearer {key}")


def test_the_scheme_may_be_spelt_in_any_case() -> None:
    assert is_authorized(authorization=f"bearer {KEY}")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer another-key",
        f"Bearer {KEY}x",
        f"Bearer {KEY}\udcff",
        f"Bearer {hash_of(KEY)}",  # who has seen the hash has not seen the key
        f"Basic {KEY}",
        KEY,
        "Bearer schlüssel",
    ],
)
def test_anything_else_stays_out(authorization: str) -> None:
    assert not is_authorized(authorization=authorization)


def test_no_header_stays_out() -> None:
    assert not is_authorized()


def test_without_any_known_key_nobody_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY_HASHES", "")
    assert not is_authorized(authorization="Bearer ")
    assert not is_authorized(authorization=f"Bearer {KEY}")
