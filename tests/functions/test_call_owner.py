"""The record of a call shows which API key placed it, and never the key."""

import json
from hashlib import sha256

import pytest

import ai_calls
import authorizer
from tests.support.api_events import Answer, api_event, read_answer

pytestmark = pytest.mark.usefixtures("environment")

KEYS = ("first-key-of-the-tests", "second-key-of-the-tests")


@pytest.fixture(autouse=True)
def known_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = (sha256(key.encode()).hexdigest() for key in KEYS)
    monkeypatch.setenv("API_KEY_HASHES", ",".join(hashes))


def request(method: str, path: str, body: dict[str, str] | None, key: str | None) -> Answer:
    """Add the answer of the authorizer to the handler's event, as API Gateway does."""
    content = None if body is None else json.dumps(body).encode()
    event = api_event(method, path, content)
    if key:
        headers = {"authorization": f"Bearer {key}"}
        found = authorizer.handler({"headers": headers}, None)
        event["requestContext"]["authorizer"] = {"lambda": found["context"]}
    return read_answer(ai_calls.handler(event, None))


def create(key: str | None) -> Answer:
    return request("POST", "/api/ai-calls/create", {"to": "+15550100"}, key)


def test_the_record_and_the_list_name_the_key_of_each_call() -> None:
    placed = [create(key).json for key in KEYS]
    fingerprints = [f"key-{sha256(key.encode()).hexdigest()[:12]}" for key in KEYS]
    assert [call["placed_by"] for call in placed] == fingerprints

    record = request("GET", f"/api/ai-calls/{placed[0]['call_id']}", None, KEYS[1])
    assert record.json["placed_by"] == fingerprints[0]
    assert KEYS[0] not in json.dumps(record.json)
    listed = request("GET", "/api/ai-calls/status", None, KEYS[1]).json["calls"]
    assert {call["placed_by"] for call in listed} == set(fingerprints)


def test_a_call_without_a_key_names_none() -> None:
    """The local gateway has no authorizer, because it serves only this machine."""
    assert create(None).json["placed_by"] is None
