"""Browser calls as a program begins them: what it is answered, and what is refused."""

import json
from datetime import datetime
from typing import Any

import pytest

import ai_calls
from control_plane import services
from phonebridge import stream_token
from phonebridge.call.call import Call, CallStatus, Direction, Outcome
from phonebridge.call.config import BrowserEvent, CallConfig
from phonebridge.call.events import MediaAttached, MediaReported
from phonebridge.call.steering import EndCallNow, Interrupt
from phonebridge.call.tools import BuiltIn
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import DynamoFleet, TaskState
from phonebridge.storage.mailbox import DynamoMailbox
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import outbound_call
from tests.support.clock import Clock
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")

CREATE = "/api/browser-calls"
KEY = {"idempotency-key": "visit-7"}
MEDIA_URL = "wss://phonebridge.example/media-bridge"


def request(method: str, path: str, body: object = None, **more: Any) -> Answer:
    encoded = None if body is None else json.dumps(body).encode()
    return read_answer(ai_calls.handler(api_event(method, path, encoded, **more), None))


def create(**body: object) -> Answer:
    return request("POST", CREATE, body)


def created_call(**body: object) -> str:
    answer = create(**body)
    assert answer.status == 201, answer.json
    call_id: str = answer.json["call_id"]
    return call_id


def call_of(store: DynamoCallStore, call_id: str) -> Call:
    call = store.load(call_id)
    assert call
    return call


def config_of(store: DynamoCallStore, call_id: str) -> CallConfig:
    config = store.config(call_id)
    assert config
    return config


def claim(call_id: str, number: int = 1) -> None:
    """What a container does when the browser has come."""
    attached = MediaAttached(number, "task-1", services.control_plane().now_ms())
    services.control_plane().switchboard.apply(call_id, attached)


def problem_of(answer: Answer) -> tuple[int, str, str]:
    [detail] = answer.error["details"]
    return answer.status, detail["field"], detail["problem"]


# Creation.


def test_a_browser_call_waits_for_its_browser(
    store: DynamoCallStore, telnyx: RecordedTelnyx, clock: Clock
) -> None:
    answer = create(greeting="Hello!")

    assert answer.status == 201
    assert answer.json["warnings"] == []
    call_id = answer.json["call_id"]
    assert answer.json["media_url"] == f"{MEDIA_URL}/{call_id}/1"
    token = answer.json["media_token"]
    assert stream_token.verify("stream secret", token, call_id, clock.now_ms) == 1
    expires_at_ms = datetime.fromisoformat(answer.json["expires_at"]).timestamp() * 1000
    stream_token.verify("stream secret", token, call_id, int(expires_at_ms))
    call = call_of(store, call_id)
    assert (call.status, call.direction) == (CallStatus.CREATED, Direction.BROWSER)
    assert config_of(store, call_id).greeting == "Hello!"
    assert telnyx.commands == []


def test_an_empty_body_is_enough(store: DynamoCallStore) -> None:
    config = config_of(store, created_call())
    assert config.codec == "PCMU"
    assert config.events == (BrowserEvent.TRANSCRIPT, BrowserEvent.STATE, BrowserEvent.LATENCY)


def test_it_needs_no_account_at_the_carrier(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TELNYX_API_KEY", "TELNYX_CONNECTION_ID", "TELNYX_FROM_NUMBER"):
        monkeypatch.setenv(name, "")
    services.control_plane.cache_clear()
    assert create().status == 201


def test_without_a_key_of_the_model_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    services.control_plane.cache_clear()
    refused = create()
    assert (refused.status, refused.error["message"]) == (503, "OpenAI API key not configured")


def test_the_creator_chooses_what_the_browser_is_shown(store: DynamoCallStore) -> None:
    chosen = created_call(events=["tool", "state", "tool"])
    assert config_of(store, chosen).events == (BrowserEvent.TOOL, BrowserEvent.STATE)
    assert config_of(store, created_call(events=[])).events == ()


def test_wide_audio_is_for_the_creator_to_choose(
    store: DynamoCallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config_of(store, created_call(audio="l16")).codec == "L16"
    monkeypatch.setenv("MODEL_AUDIO", "g711")
    services.control_plane.cache_clear()
    assert problem_of(create(audio="l16"))[:2] == (422, "audio")
    assert create(audio="pcmu").status == 201


def test_the_settings_of_an_agent_hold(store: DynamoCallStore) -> None:
    tools = [
        "end_call",
        {"type": "send_dtmf"},
        {"type": "transfer_call", "destinations": [{"name": "sales", "to": "+15550142"}]},
    ]
    agent = {
        "instructions": "You sell flowers.",
        "codec": "L16",
        "stream_setup": "prepared",
        "machine_detection": {"mode": "hang_up"},
        "tools": tools,
    }
    assert request("PUT", "/api/agents/florist", agent).status in (200, 201)

    config = config_of(store, created_call(agent="florist", metadata={"visit": "7"}))

    assert (config.agent, config.instructions) == ("florist", "You sell flowers.")
    assert config.metadata == {"visit": "7"}
    assert config.codec == "PCMU", "what is for the phone only is left out"
    assert config.machine_detection is None
    assert config.tools.built_in == (BuiltIn.END_CALL,)
    assert config.tools.destinations == ()


def test_an_agent_that_records_is_refused_unless_the_request_does_without() -> None:
    assert request("PUT", "/api/agents/florist", {"record": True}).status in (200, 201)
    status, field, problem = problem_of(create(agent="florist"))
    assert (status, field) == (422, "agent")
    assert "`record: false`" in problem
    assert create(agent="florist", record=False).status == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"record": True}, "record"),
        ({"codec": "L16"}, "codec"),
        ({"machine_detection": {"mode": "hang_up"}}, "machine_detection"),
        ({"stream_setup": "with_dial"}, "stream_setup"),
        ({"tools": ["end_call", "send_dtmf"]}, "tools.1"),
        (
            {
                "tools": [
                    {"type": "transfer_call", "destinations": [{"name": "a", "to": "+15550142"}]}
                ]
            },
            "tools.0",
        ),
        ({"audio": "opus"}, "audio"),
        ({"events": ["audio"]}, "events.0"),
        ({"to": "+15550100"}, "to"),
        ({"agent": "nobody"}, "agent"),
        ({"max_duration_seconds": 5}, "max_duration_seconds"),
        ({"reasoning_effort": "low", "model": "gpt-realtime"}, "reasoning_effort"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused_by_its_field(
    store: DynamoCallStore, body: dict[str, Any], field: str
) -> None:
    assert problem_of(create(**body))[:2] == (422, field)
    assert list(store.possibly_live()) == []


def test_settings_are_warned_of_as_on_the_phone() -> None:
    [voice, temperature] = create(voice="nova", temperature=0.5).json["warnings"]
    assert voice.startswith("voice:")
    assert temperature.startswith("temperature:")


def test_a_repeated_request_begins_one_call(store: DynamoCallStore) -> None:
    first = request("POST", CREATE, {"greeting": "Hello!"}, headers=KEY)
    again = request("POST", CREATE, {"greeting": "Hello!"}, headers=KEY)

    assert (first.status, again.status) == (201, 201)
    assert again.json["call_id"] == first.json["call_id"]
    assert again.json["media_url"] == first.json["media_url"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(list(store.possibly_live())) == 1
    other = request("POST", CREATE, {"greeting": "Good morning!"}, headers=KEY)
    assert (other.status, other.error["code"]) == (409, "idempotency_key_reused")


def test_a_full_fleet_takes_no_browser_call(fleet: DynamoFleet) -> None:
    fleet.beat(TaskState("task-1", 1, slots=1, active_calls=0, draining=False))
    assert create().status == 201
    refused = create()
    assert (refused.status, refused.error["code"]) == (429, "at_capacity")


def test_the_limits_of_the_operator_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_CALLS", "1")
    services.control_plane.cache_clear()
    first = created_call()
    assert create().error["code"] == "limit_reached"
    assert request("POST", f"/api/ai-calls/{first}/hangup").status == 202
    assert create().status == 201


# The media of a call.


def test_a_lost_socket_is_replaced_by_the_next_stream(store: DynamoCallStore, clock: Clock) -> None:
    call_id = created_call()
    claim(call_id)

    renewed = request("POST", f"{CREATE}/{call_id}/media")

    assert renewed.status == 201
    assert set(renewed.json) == {"call_id", "media_url", "media_token", "expires_at"}
    assert renewed.json["media_url"] == f"{MEDIA_URL}/{call_id}/2"
    token = renewed.json["media_token"]
    assert stream_token.verify("stream secret", token, call_id, clock.now_ms) == 2
    again = request("POST", f"{CREATE}/{call_id}/media")
    assert again.json["media_url"] == renewed.json["media_url"], "nobody has opened it yet"
    assert call_of(store, call_id).stream_number == 2


def test_before_its_browser_has_come_the_first_stream_is_renewed() -> None:
    call_id = created_call()
    renewed = request("POST", f"{CREATE}/{call_id}/media")
    assert renewed.json["media_url"] == f"{MEDIA_URL}/{call_id}/1"


def test_only_a_browser_call_that_goes_on_has_media_to_renew(store: DynamoCallStore) -> None:
    call_id = created_call()
    request("POST", f"/api/ai-calls/{call_id}/hangup")
    ended = request("POST", f"{CREATE}/{call_id}/media")
    assert (ended.status, ended.error["code"]) == (409, "wrong_state")
    store.create(outbound_call("by-phone"), CallConfig())
    by_phone = request("POST", f"{CREATE}/by-phone/media")
    assert (by_phone.status, by_phone.error["code"]) == (409, "wrong_state")
    assert request("POST", f"{CREATE}/nobody/media").status == 404


# Under /api/ai-calls.


def test_a_browser_call_has_the_record_of_any_call() -> None:
    call_id = created_call(metadata={"visit": "7"})
    claim(call_id)
    record = request("GET", f"/api/ai-calls/{call_id}")
    assert record.status == 200
    assert record.json["direction"] == "browser"
    assert record.json["status"] == "streaming"
    assert (record.json["to"], record.json["from"]) == ("", "")
    assert record.json["metadata"] == {"visit": "7"}
    assert [call["call_id"] for call in request("GET", "/api/ai-calls/status").json["calls"]] == [
        call_id
    ]


def test_the_carrier_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELNYX_MINUTE_PRICE", "0.007")
    services.control_plane.cache_clear()
    call_id = created_call()
    claim(call_id)
    services.control_plane().switchboard.apply(call_id, MediaReported(1))
    request("POST", f"/api/ai-calls/{call_id}/hangup")
    cost = request("GET", f"/api/ai-calls/{call_id}").json["cost"]
    assert (cost["carrier"], cost["total"], cost["notes"]) == (0.0, 0.0, [])


def test_a_hangup_goes_to_the_container(
    mailbox: DynamoMailbox, telnyx: RecordedTelnyx, store: DynamoCallStore
) -> None:
    call_id = created_call()
    claim(call_id)
    answer = request("POST", f"/api/ai-calls/{call_id}/hangup")
    assert (answer.status, answer.json["status"]) == (202, "streaming")
    request("POST", f"/api/ai-calls/{call_id}/hangup")
    assert [each.command for each in mailbox.collect("task-1")] == [EndCallNow()]
    assert telnyx.commands == []
    services.control_plane().switchboard.apply(call_id, MediaReported(1))
    call = call_of(store, call_id)
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "ended_by_api")


def test_a_hangup_before_the_browser_has_come_cancels_the_call() -> None:
    call_id = created_call()
    answer = request("POST", f"/api/ai-calls/{call_id}/hangup")
    assert (answer.json["outcome"], answer.json["reason"]) == ("canceled", "ended_by_api")


def test_it_is_steered_as_any_call(mailbox: DynamoMailbox) -> None:
    call_id = created_call()
    assert request("POST", f"/api/ai-calls/{call_id}/interrupt").status == 409
    claim(call_id)
    assert request("POST", f"/api/ai-calls/{call_id}/interrupt").status == 202
    assert [each.command for each in mailbox.collect("task-1")] == [Interrupt()]


@pytest.mark.parametrize(
    ("action", "body"), [("dtmf", {"digits": "1"}), ("transfer", {"to": "+15550142"})]
)
def test_what_only_a_carrier_can_do_is_refused(
    telnyx: RecordedTelnyx, action: str, body: object
) -> None:
    call_id = created_call()
    claim(call_id)
    refused = request("POST", f"/api/ai-calls/{call_id}/{action}", body)
    assert (refused.status, refused.error["code"]) == (409, "wrong_state")
    assert "no carrier" in refused.error["message"]
    assert telnyx.commands == []


def test_an_update_cannot_bring_in_tools_of_the_carrier() -> None:
    call_id = created_call()
    claim(call_id)
    path = f"/api/ai-calls/{call_id}/update"
    assert problem_of(request("POST", path, {"tools": ["send_dtmf"]}))[:2] == (422, "tools.0")
    assert request("POST", path, {"tools": ["end_call"]}).status == 202
