import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonebridge.answering import AnsweredBy, DetectionEnded, GreetingEnded
from phonebridge.billing import Charge
from phonebridge.call import Direction, Fault, Hangup, Leg
from phonebridge.call_events import (
    CallAnswered,
    CallArrived,
    CallEvent,
    CallHungUp,
    CallInitiated,
    StreamingFailed,
)
from phonebridge.errors import Unreadable
from phonebridge.recording import SavedRecording
from phonebridge.telnyx.leg_name import call_and_transfer, leg_name
from phonebridge.telnyx.webhook import Webhook, about_target, parse
from phonebridge.telnyx.webhook_payloads import inbound_call_id
from phonebridge.transfer import (
    CallTransferred,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
)

SAMPLES = Path(__file__).parents[3] / "events" / "telnyx"
CALL_ID = "6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41"
LEG = Leg(
    "v3:sample-Kq1Zt0u7Jw3mXyB_4cR9vQ",
    "5a0e7c1e-4b7d-4c57-8f65-0d6f3f0b9b10",
    "c2f4a7d9-91c3-4e0a-a1f4-6f0b5f8f2c11",
)


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def envelope(
    event_type: str, occurred_at: object = "2026-09-14T09:30:00Z", **payload: object
) -> bytes:
    data = {
        "id": "event-1",
        "event_type": event_type,
        "occurred_at": occurred_at,
        "payload": {"call_control_id": "v3:leg", **payload},
    }
    return json.dumps({"data": data}).encode()


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_sample_parses(path: Path) -> None:
    webhook = parse(path.read_bytes())
    assert path.stem.startswith(webhook.event_type)
    assert webhook.leg.call_control_id.startswith("v3:sample-")
    assert "+1555" not in webhook.detail


def test_an_outbound_call_is_told_by_its_webhooks() -> None:
    initiated = parse(sample("call.initiated"))
    assert initiated.event == CallInitiated(LEG)
    assert initiated.arrival is None
    assert initiated.client_state == CALL_ID

    answered = parse(sample("call.answered"))
    assert answered.event == CallAnswered(LEG, answered.occurred_at_ms)

    ended = parse(sample("call.hangup"))
    hangup = Hangup("normal_clearing", "callee", ended.occurred_at_ms)
    assert ended.event == CallHungUp(LEG, hangup)
    assert ended.detail == "normal_clearing by callee, SIP 200"


def test_an_inbound_call_arrives() -> None:
    webhook = parse(sample("call.initiated.incoming"))
    assert webhook.event == CallArrived(webhook.leg)
    assert webhook.client_state is None
    call = webhook.arrival
    assert call is not None
    assert call.call_id == inbound_call_id(webhook.leg)
    assert (call.direction, call.from_, call.to) == (
        Direction.INBOUND,
        "+15550145",
        "+15550100",
    )
    assert call.created_at_ms == webhook.occurred_at_ms
    assert webhook.detail == "incoming"


def test_an_inbound_leg_is_one_call_under_any_of_its_control_ids() -> None:
    assert inbound_call_id(Leg("v3:a", "leg")) == inbound_call_id(Leg("v3:b", "leg"))
    assert inbound_call_id(Leg("v3:a")) != inbound_call_id(Leg("v3:b"))


def test_an_unanswered_call_hangs_up_without_client_state() -> None:
    webhook = parse(sample("call.hangup.unanswered"))
    assert webhook.client_state is None
    hangup = Hangup("timeout", "unknown", webhook.occurred_at_ms)
    assert webhook.event == CallHungUp(LEG, hangup)


def test_a_hangup_may_keep_its_cause_to_itself() -> None:
    webhook = parse(envelope("call.hangup", hangup_cause=None, sip_hangup_cause=487))
    hangup = Hangup("unspecified", "unknown", webhook.occurred_at_ms)
    assert webhook.event == CallHungUp(Leg("v3:leg"), hangup)
    assert webhook.detail == "unspecified by unknown, SIP 487"


def test_a_failed_stream_fails_the_call() -> None:
    webhook = parse(sample("streaming.failed"))
    fault = Fault("streaming_failed", "connection_failed", webhook.occurred_at_ms)
    assert webhook.event == StreamingFailed(fault)
    assert webhook.detail == "connection_failed"


def told(name: str, result: str) -> CallEvent | None:
    webhook = json.loads(sample(name))
    webhook["data"]["payload"]["result"] = result
    return parse(json.dumps(webhook).encode()).event


@pytest.mark.parametrize("kind", ["", "premium."])
@pytest.mark.parametrize(
    ("result", "answered_by"),
    [
        ("human", AnsweredBy.HUMAN),
        ("human_residence", AnsweredBy.HUMAN),
        ("human_business", AnsweredBy.HUMAN),
        ("machine", AnsweredBy.MACHINE),
        ("fax_detected", AnsweredBy.FAX),
        ("silence", AnsweredBy.UNSURE),
        ("not_sure", AnsweredBy.UNSURE),
        ("a_result_of_next_year", AnsweredBy.UNSURE),
    ],
)
def test_who_answered(kind: str, result: str, answered_by: AnsweredBy) -> None:
    assert told(f"call.machine.{kind}detection.ended", result) == DetectionEnded(answered_by)


@pytest.mark.parametrize("kind", ["", "premium."])
@pytest.mark.parametrize("result", ["beep_detected", "no_beep_detected", "ended", "prompt_ended"])
def test_a_machines_greeting_is_over(kind: str, result: str) -> None:
    assert told(f"call.machine.{kind}greeting.ended", result) == GreetingEnded()


def test_a_greeting_of_which_the_carrier_is_not_sure_may_go_on() -> None:
    assert told("call.machine.greeting.ended", "not_sure") is None


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("call.dtmf.received", ""),
        ("call.machine.premium.call_screening.detected", "screening"),
        ("call.recording.error", "upload_failed"),
    ],
)
def test_what_moves_nothing_is_noted(name: str, detail: str) -> None:
    webhook = parse(sample(name))
    assert webhook.event is None
    assert webhook.detail == detail


def test_a_bridged_call_is_a_transferred_one() -> None:
    webhook = parse(sample("call.bridged"))
    assert webhook.event == CallTransferred(webhook.occurred_at_ms)


CONNECTED = CallTransferred(1_789_378_204_370)


@pytest.mark.parametrize(
    ("name", "warm", "blind"),
    [
        ("call.initiated", TargetInitiated(2, LEG.call_control_id), None),
        (
            "call.answered",
            TargetAnswered(2, LEG.call_control_id),
            CONNECTED,
        ),
        ("call.speak.ended", TargetBriefed(2), None),
        ("call.hangup", TargetHungUp(2, "normal_clearing"), None),
        ("streaming.failed", None, None),
    ],
)
def test_what_is_told_of_a_transfers_target_never_ends_the_call(
    name: str, warm: CallEvent | None, blind: CallEvent | None
) -> None:
    webhook = parse(sample(name))
    assert about_target(webhook, 2, is_warm=True).event == warm
    assert about_target(webhook, 2, is_warm=False).event == (blind or warm)
    assert about_target(webhook, 2, is_warm=True).detail.startswith("transfer 2")


@given(st.text(), st.one_of(st.none(), st.integers(1, 99_999)))
def test_a_leg_is_named_for_its_call_and_its_transfer(call_id: str, transfer: int | None) -> None:
    name = leg_name(call_id.replace("/", ""), transfer)
    assert call_and_transfer(name) == (call_id.replace("/", ""), transfer)


@pytest.mark.parametrize("name", ["", "a/transfer/", "a/transfer/x", "a/transfer/" + "9" * 5000])
def test_a_name_that_is_not_ours_is_taken_whole(name: str) -> None:
    assert call_and_transfer(name) == (name, None)


def test_a_webhook_of_another_product_is_tolerated() -> None:
    """A message has no leg, and its `to` is a list."""
    webhook = parse(
        envelope("message.received", call_control_id=None, to=[{"phone_number": "+15550100"}])
    )
    assert webhook.leg == Leg("")
    assert webhook.event is None


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("call_answered", "call.answered"),
        ("streaming_failed", "streaming.failed"),
        (
            "call.machine.premium.call_screening.detected",
            "call.machine.premium.call_screening.detected",
        ),
    ],
)
def test_underscored_names_are_the_same_events(spelled: str, meant: str) -> None:
    assert parse(envelope(spelled)).event_type == meant


@pytest.mark.parametrize(
    ("occurred_at", "at_ms"),
    [
        ("1970-01-01T00:00:01.996306Z", 1996),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T02:00:01.123456789+02:00", 1123),
        ("1970-01-01T00:00:01.5", 1500),
    ],
)
def test_any_rfc3339_time_is_understood(occurred_at: str, at_ms: int) -> None:
    assert parse(envelope("call.bridged", occurred_at)).occurred_at_ms == at_ms


@pytest.mark.parametrize("state", ["not base64", base64.b64encode(b"\xff\xfe").decode(), "", "é"])
def test_the_state_of_another_application_is_none_of_ours(state: str) -> None:
    assert parse(envelope("call.bridged", client_state=state)).client_state is None


def test_the_timeline_never_shows_a_phone_number() -> None:
    webhook = parse(envelope("streaming.failed", failure_reason="refused for +15550100"))
    assert webhook.detail == "refused for +****0100"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b"[]",
        b'{"event_type":"call_answered","created_at":"2026-09-14T09:30:00Z"}',
        b'{"data":{"event_type":"call.answered","id":"1","payload":{}}}',
        b'{"data":{"event_type":"call.answered","id":"1","occurred_at":"today","payload":{}}}',
        b'{"data":' + b"[" * 100_000,
        envelope("call.answered", occurred_at=None),
        envelope("call.answered", call_control_id=None),
        envelope("call.hangup", hangup_cause=["busy"]),
    ],
    ids=range(11),
)
def test_what_is_no_webhook_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(body)


@given(st.binary())
def test_no_bytes_surprise_the_parser(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(body)


def test_a_saved_recording_is_enclosed_with_its_link() -> None:
    assert parse(sample("call.recording.saved")).enclosed == SavedRecording(
        recording_id="93a4b5c6-7d8e-4f90-a1b2-c3d4e5f60718",
        format="mp3",
        channels="dual",
        url="https://recordings.example/sample.mp3?expires=600",
        duration_ms=91_100,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"recording_urls": {}},
        {"recording_urls": {"mp3": None}},
        {"recording_urls": None},
        {"recording_id": None},
        {"recording_id": "../other"},
        {"format": "a/b", "recording_urls": {"a/b": "https://recordings.example/1"}},
    ],
)
def test_a_recording_that_cannot_be_kept_is_only_noted(change: dict[str, Any]) -> None:
    told = changed("call.recording.saved", **change)
    assert (told.event_type, told.enclosed) == ("call.recording.saved", None)


def test_a_recording_without_times_has_no_duration() -> None:
    told = changed("call.recording.saved", recording_ended_at=None).enclosed
    assert isinstance(told, SavedRecording)
    assert told.duration_ms is None


@pytest.mark.parametrize(
    ("change", "micros", "currency"),
    [
        ({}, 14_000, "USD"),
        ({"total_cost": 0.014}, 14_000, "USD"),
        ({"cost_parts": None}, 14_000, "USD"),
        ({"cost_parts": [{"currency": "eur"}]}, 14_000, "EUR"),
    ],
)
def test_a_charge_is_enclosed_whether_it_is_text_or_a_number(
    change: dict[str, Any], micros: int, currency: str
) -> None:
    leg_id = "5a0e7c1e-4b7d-4c57-8f65-0d6f3f0b9b10"
    assert changed("call.cost", **change).enclosed == Charge(leg_id, micros, currency)


@pytest.mark.parametrize("total", [None, "", "free", "inf", "nan"])
def test_a_charge_that_is_no_amount_is_only_noted(total: str | None) -> None:
    assert changed("call.cost", total_cost=total).enclosed is None


def changed(name: str, **change: Any) -> Webhook:
    told = json.loads(sample(name))
    told["data"]["payload"] |= change
    return parse(json.dumps(told).encode())
