"""What a stolen key may dial: refused before anybody's phone rings, on every way to a phone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import ai_calls
from control_plane import services
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallRequested, DialAccepted, MediaAttached
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import TaskState
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import LEG, after, outbound_call
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")

PREMIUM = "+19005550100"
SATELLITE = "+881612345678"
REAL_CARRIER = {
    "TELNYX_API_BASE": "https://api.telnyx.com/v2",
    "TELNYX_FROM_NUMBER": "+12025550123",
}
TRANSFER_TO_PREMIUM = {
    "type": "transfer_call",
    "destinations": [{"name": "desk", "to": PREMIUM}],
}


def request(method: str, path: str, body: dict[str, Any]) -> Answer:
    event = api_event(method, path, json.dumps(body).encode())
    return read_answer(ai_calls.handler(event, None))


def create(**body: Any) -> Answer:
    return request("POST", "/api/ai-calls/create", body)


@pytest.mark.parametrize("number", [PREMIUM, SATELLITE])
def test_a_dear_number_is_not_dialled(telnyx: RecordedTelnyx, number: str) -> None:
    refused = create(to=number)
    assert refused.status == 403
    assert refused.error["code"] == "destination_not_allowed"
    assert number in refused.error["message"]
    assert telnyx.commands == []


def test_a_number_of_another_region_is_not_dialled(reconfigure: Callable[..., None]) -> None:
    reconfigure(**REAL_CARRIER)
    refused = create(to="+442071838750")
    assert (refused.status, refused.error["code"]) == (403, "destination_not_allowed")
    assert "it is in GB; allowed are US" in refused.error["message"]


def test_a_listed_number_is_dialled(reconfigure: Callable[..., None]) -> None:
    reconfigure(ALLOWED_DESTINATIONS="US,+1900555")
    assert create(to=PREMIUM).status == 201


def test_a_call_and_an_agent_may_not_transfer_to_a_dear_number(telnyx: RecordedTelnyx) -> None:
    refused = create(to="+15550100", tools=[TRANSFER_TO_PREMIUM])
    assert (refused.status, refused.error["code"]) == (403, "destination_not_allowed")
    refused = request("PUT", "/api/agents/desk", {"tools": [TRANSFER_TO_PREMIUM]})
    assert (refused.status, refused.error["code"]) == (403, "destination_not_allowed")
    assert telnyx.commands == []


def test_a_call_and_an_agent_may_not_fall_back_to_a_dear_number(telnyx: RecordedTelnyx) -> None:
    fallback = {"transfer_to": PREMIUM}
    refused = create(to="+15550100", fallback=fallback)
    assert (refused.status, refused.error["code"]) == (403, "destination_not_allowed")
    refused = request("PUT", "/api/agents/desk", {"fallback": fallback})
    assert (refused.status, refused.error["code"]) == (403, "destination_not_allowed")
    assert telnyx.commands == []


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("transfer", {"to": PREMIUM}),
        ("transfer", {"to": f"sip:{PREMIUM}@sip.telnyx.com"}),
        ("transfer", {"to": SATELLITE, "mode": "warm", "summary": "A caller."}),
        ("update", {"tools": [TRANSFER_TO_PREMIUM]}),
    ],
)
def test_a_live_call_is_not_handed_over_to_a_dear_number(
    store: DynamoCallStore, action: str, body: dict[str, Any]
) -> None:
    events = (
        CallRequested(),
        DialAccepted(LEG),
        CallAnswered(LEG, 5_000),
        MediaAttached(1, "task-1", 6_000),
    )
    store.create(after(outbound_call(), *events), CallConfig())
    refused = request("POST", f"/api/ai-calls/call-1/{action}", body)
    assert (refused.status, refused.error["code"]) == (403, "destination_not_allowed")


def test_only_numbers_of_ours_are_shown(reconfigure: Callable[..., None]) -> None:
    """The stack is full, so that nothing is dialled: 429 means that the number is accepted."""
    reconfigure(**REAL_CARRIER)
    full = TaskState("task-1", 1, slots=1, active_calls=1, draining=False)
    services.control_plane().fleet.beat(full)
    to = "+16502530000"
    refused = create(to=to, **{"from": "+12025550199"})
    assert refused.status == 422
    assert refused.error["details"][0]["field"] == "from"
    assert create(to=to).status == 429
    request("PUT", "/api/agents/desk", {})
    request("PUT", "/api/numbers/%2B12025550199", {"agent": "desk"})
    assert create(to=to, **{"from": "+12025550199"}).status == 429
