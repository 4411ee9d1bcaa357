import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from phonebridge.call.call import FAREWELL, Direction, Fault, Hangup, Leg
from phonebridge.call.events import (
    AnnouncementEnded,
    CallAnswered,
    CallArrived,
    CallEvent,
    CallHungUp,
    CallInitiated,
    StreamingFailed,
)
from phonebridge.call.machine_detection import AnsweredBy, DetectionEnded, GreetingEnded
from phonebridge.call.recording import SavedRecording
from phonebridge.call.transfer import (
    CallTransferred,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
)
from phonebridge.call.usage import Charge
from phonebridge.errors import MalformedRequest
from phonebridge.telnyx.leg_name import call_and_transfer, leg_name
from phonebridge.telnyx.webhook import (
    MAX_DETAIL_LENGTH,
    MAX_EVENT_ID_LENGTH,
    MAX_EVENT_TYPE_LENGTH,
    Webhook,
    about_target,
    parse,
)
from phonebridge.telnyx.webhook_payloads import (
    MAX_ADDRESS_LENGTH,
    MAX_ID_LENGTH,
    MAX_WORD_LENGTH,
    PAYLOADS,
    Payload,
    inbound_call_id,
)

SAMPLES = Path(__file__).parents[3] / "events" / "telnyx"
CALL_ID = "6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41"
LEG = Leg(
    "v3:sample-Kq1Zt0u7Jw3mXyB_4cR9vQ",
    "5a0e7c1e-4b7d-4c57-8f65-0d6f3f0b9b10",
    "c2f4a7d9-91c3-4e0a-a1f4-6f0b5f8f2c11",
)


NOW_MS = 1_795_000_000_000


def parse_now(body: bytes) -> Webhook:
    return parse(body, NOW_MS)


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
    webhook = parse_now(path.read_bytes())
    assert path.stem.startswith(webhook.event_type)
    assert webhook.leg.call_control_id.startswith("v3:sample-")
    assert "+1555" not in webhook.detail


def test_an_outbound_call_is_told_by_its_webhooks() -> None:
    initiated = parse_now(sample("call.initiated"))
    assert initiated.event == CallInitiated(LEG)
    assert initiated.arrival is None
    assert initiated.client_state == CALL_ID

    answered = parse_now(sample("call.answered"))
    assert answered.event == CallAnswered(LEG, answered.occurred_at_ms)

    ended = parse_now(sample("call.hangup"))
    hangup = Hangup("normal_clearing", "callee", ended.occurred_at_ms)
    assert ended.event == CallHungUp(LEG, hangup)
    assert ended.detail == "normal_clearing by callee, SIP 200"


def test_an_inbound_call_arrives() -> None:
    webhook = parse_now(sample("call.initiated.incoming"))
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
    webhook = parse_now(sample("call.hangup.unanswered"))
    assert webhook.client_state is None
    hangup = Hangup("timeout", "unknown", webhook.occurred_at_ms)
    assert webhook.event == CallHungUp(LEG, hangup)


def test_a_hangup_may_keep_its_cause_to_itself() -> None:
    webhook = parse_now(envelope("call.hangup", hangup_cause=None, sip_hangup_cause=487))
    hangup = Hangup("unspecified", "unknown", webhook.occurred_at_ms)
    assert webhook.event == CallHungUp(Leg("v3:leg"), hangup)
    assert webhook.detail == "unspecified by unknown, SIP 487"


def test_a_failed_stream_fails_the_call() -> None:
    webhook = parse_now(sample("streaming.failed"))
    fault = Fault("streaming_failed", "connection_failed", webhook.occurred_at_ms)
    assert webhook.event == StreamingFailed(fault)
    assert webhook.detail == "connection_failed"


def event_with_result(name: str, result: str) -> CallEvent | None:
    webhook = json.loads(sample(name))
    webhook["data"]["payload"]["result"] = result
    return parse_now(json.dumps(webhook).encode()).event


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
    assert event_with_result(f"call.machine.{kind}detection.ended", result) == DetectionEnded(
        answered_by
    )


@pytest.mark.parametrize("kind", ["", "premium."])
@pytest.mark.parametrize("result", ["beep_detected", "no_beep_detected", "ended", "prompt_ended"])
def test_a_machines_greeting_is_over(kind: str, result: str) -> None:
    assert event_with_result(f"call.machine.{kind}greeting.ended", result) == GreetingEnded()


def test_a_greeting_of_which_the_carrier_is_not_sure_may_go_on() -> None:
    assert event_with_result("call.machine.greeting.ended", "not_sure") is None


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("call.dtmf.received", ""),
        ("call.machine.premium.call_screening.detected", "screening"),
        ("call.recording.error", "upload_failed"),
    ],
)
def test_what_moves_nothing_is_noted(name: str, detail: str) -> None:
    webhook = parse_now(sample(name))
    assert webhook.event is None
    assert webhook.detail == detail


def test_a_bridged_call_is_a_transferred_one() -> None:
    webhook = parse_now(sample("call.bridged"))
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
    webhook = parse_now(sample(name))
    assert about_target(webhook, 2, is_warm=True).event == warm
    assert about_target(webhook, 2, is_warm=False).event == (blind or warm)
    assert about_target(webhook, 2, is_warm=True).detail.startswith("transfer 2")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("call-1/announcement/3", 3),
        (f"call-1/announcement/{FAREWELL}", FAREWELL),
        ("call-1", None),
        ("", None),
        ("call-1/announcement/", None),
        ("call-1/announcement/0", None),
        (f"call-1/announcement/{FAREWELL + 1}", None),
        ("call-1/announcement/03", None),
        ("call-1/announcement/" + "9" * 5000, None),
        ("call-1/transfer/2", None),
    ],
)
def test_the_end_of_an_announcement_names_it(name: str, number: int | None) -> None:
    told = json.loads(sample("call.speak.ended"))
    told["data"]["payload"]["client_state"] = base64.b64encode(name.encode()).decode()
    assert parse_now(json.dumps(told).encode()).event == AnnouncementEnded(number)
    assert call_and_transfer(name)[0] in ("call-1", "")


@pytest.mark.parametrize("state", [None, "?", "/w=="])
def test_the_end_of_an_announcement_may_have_the_state_of_another_program(
    state: str | None,
) -> None:
    told = json.loads(sample("call.speak.ended"))
    told["data"]["payload"]["client_state"] = state
    assert parse_now(json.dumps(told).encode()).event == AnnouncementEnded()


@given(st.text(), st.one_of(st.none(), st.integers(1, 99_999)))
def test_a_leg_is_named_for_its_call_and_its_transfer(call_id: str, transfer: int | None) -> None:
    name = leg_name(call_id.replace("/", ""), transfer)
    assert call_and_transfer(name) == (call_id.replace("/", ""), transfer)


@pytest.mark.parametrize("name", ["", "a/transfer/", "a/transfer/x", "a/transfer/" + "9" * 5000])
def test_a_name_that_is_not_ours_is_taken_whole(name: str) -> None:
    assert call_and_transfer(name) == (name, None)


def test_a_webhook_of_another_product_is_tolerated() -> None:
    """A message has no leg, and its `to` is a list."""
    webhook = parse_now(
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
    assert parse_now(envelope(spelled)).event_type == meant


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
    assert parse_now(envelope("call.bridged", occurred_at)).occurred_at_ms == at_ms


@pytest.mark.parametrize("state", ["not base64", base64.b64encode(b"\xff\xfe").decode(), "", "é"])
def test_the_state_of_another_application_is_none_of_ours(state: str) -> None:
    assert parse_now(envelope("call.bridged", client_state=state)).client_state is None


def test_the_timeline_never_shows_a_phone_number() -> None:
    webhook = parse_now(envelope("streaming.failed", failure_reason="refused for +15550100"))
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
        envelope("call.answered", call_control_id=None),
        envelope("call.answered", call_control_id={"id": "v3:leg"}),
        envelope("call.hangup", call_control_id="v" * (MAX_ID_LENGTH + 1)),
        envelope("call.initiated", call_control_id=None, call_leg_id="leg", direction="incoming"),
        b'{"data":{"event_type":7,"id":"1","payload":{"call_control_id":"v3:leg"}}}',
        b'{"data":{"event_type":"call.answered","id":"1","payload":["v3:leg"]}}',
        b'{"data":[{"event_type":"call.answered","payload":{"call_control_id":"v3:leg"}}]}',
    ],
    ids=range(15),
)
def test_what_is_no_webhook_is_unreadable(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_now(body)


@given(st.binary())
def test_no_bytes_surprise_the_parser(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_now(body)


def test_a_saved_recording_is_enclosed_with_its_link() -> None:
    assert parse_now(sample("call.recording.saved")).attachment == SavedRecording(
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
    told = webhook_with("call.recording.saved", **change)
    assert (told.event_type, told.attachment) == ("call.recording.saved", None)


def test_a_recording_without_times_has_no_duration() -> None:
    told = webhook_with("call.recording.saved", recording_ended_at=None).attachment
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
    assert webhook_with("call.cost", **change).attachment == Charge(leg_id, micros, currency)


@pytest.mark.parametrize("total", [None, "", "free", "inf", "nan"])
def test_a_charge_that_is_no_amount_is_only_noted(total: str | None) -> None:
    assert webhook_with("call.cost", total_cost=total).attachment is None


def webhook_with(name: str, **change: Any) -> Webhook:
    told = json.loads(sample(name))
    told["data"]["payload"] |= change
    return parse_now(json.dumps(told).encode())


# Optional fields of unexpected types

SAMPLE_NAMES = sorted(path.stem for path in SAMPLES.glob("*.json"))
REQUIRED = {"data", "event_type", "payload", "call_control_id"}
"""The fields that say what happened to which call."""

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["", "\ud800", "2026-09-14T09:30:00Z", 10**400]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)


def places(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all optional fields."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in REQUIRED:
                yield (*path, name)
            yield from places(inner, (*path, name))


def with_field(name: str, path: tuple[str, ...], *value: object) -> bytes:
    """Return the sample with another value at this path, or without one."""
    told = inner = json.loads(sample(name))
    for step in path[:-1]:
        inner = inner[step]
    last = path[-1]
    del inner[last]
    if value:
        [inner[last]] = value
    return json.dumps(told).encode()


@st.composite
def altered_samples(draw: st.DrawFn) -> tuple[str, str, bytes]:
    name = draw(st.sampled_from(SAMPLE_NAMES))
    path = draw(st.sampled_from(list(places(json.loads(sample(name))))))
    values = draw(st.lists(ANYTHING, max_size=1))
    return name, path[-1], with_field(name, path, *values)


def kinds(webhook: Webhook) -> tuple[str, type, type]:
    return webhook.event_type, type(webhook.event), type(webhook.arrival)


CHANGES_MEANING = {"direction", "result"}
"""Fields whose other values have another meaning: an unsure detection, an outbound leg."""


@given(altered_samples())
def test_no_optional_field_voids_a_webhook(case: tuple[str, str, bytes]) -> None:
    name, field, body = case
    webhook, whole = parse_now(body), parse_now(sample(name))
    assert webhook.event_type == whole.event_type
    if field not in CHANGES_MEANING:
        assert kinds(webhook) == kinds(whole)
    assert set(webhook.unreadable) <= {field}
    assert webhook.leg.call_control_id == whole.leg.call_control_id
    json.dumps(webhook.detail).encode("ascii")
    webhook.detail.encode()


@pytest.mark.parametrize("value", [["x"], {"x": 1}, 7, 4.5, True])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field.encode_name)
        for name in SAMPLE_NAMES
        for field in fields(PAYLOADS.get(json.loads(sample(name))["data"]["event_type"], Payload))
        if field.encode_name not in {*REQUIRED, *CHANGES_MEANING}
        and field.encode_name in json.loads(sample(name))["data"]["payload"]
    ],
)
def test_a_field_of_a_strange_type_counts_as_absent(name: str, field: str, value: object) -> None:
    strange = parse_now(with_field(name, ("data", "payload", field), value))
    without = parse_now(with_field(name, ("data", "payload", field)))
    is_read = not strange.unreadable
    assert is_read or strange == replace(without, unreadable=(field,))


@pytest.mark.parametrize(
    ("told", "read"),
    [(486, "486"), (486.0, "486"), ("486", "486"), (None, "unspecified"), (["486"], "unspecified")],
)
def test_a_sip_cause_may_be_text_or_a_number(told: object, read: str) -> None:
    webhook = parse_now(envelope("call.hangup", hangup_cause="user_busy", sip_hangup_cause=told))
    assert webhook.detail == f"user_busy by unknown, SIP {read}"


@pytest.mark.parametrize("direction", [None, 7, ["incoming"]])
def test_an_inbound_call_is_known_by_its_state_where_its_direction_is_missing(
    direction: object,
) -> None:
    told = envelope("call.initiated", direction=direction, state="parked", call_leg_id="leg")
    assert parse_now(told).event == CallArrived(Leg("v3:leg", "leg"))
    outbound = envelope("call.initiated", direction=direction, state="bridging")
    assert parse_now(outbound).event == CallInitiated(Leg("v3:leg"))


def test_one_odd_recording_link_leaves_the_other() -> None:
    urls = {"wav": 7, "mp3": "https://recordings.example/sample.mp3"}
    saved = webhook_with("call.recording.saved", recording_urls=urls).attachment
    assert isinstance(saved, SavedRecording)
    assert (saved.format, saved.url) == ("mp3", urls["mp3"])


@pytest.mark.parametrize("parts", ["USD", [7], [{"currency": 7}, {"currency": "eur"}], {}])
def test_odd_parts_of_a_charge_leave_the_charge(parts: object) -> None:
    charge = webhook_with("call.cost", cost_parts=parts).attachment
    assert isinstance(charge, Charge)
    assert charge.micros == 14_000
    assert charge.currency in ("USD", "EUR")


@pytest.mark.parametrize("total", ["1e300", 10**300, -(10**40)])
def test_a_charge_beyond_belief_is_only_noted(total: object) -> None:
    assert webhook_with("call.cost", total_cost=total).attachment is None


# Text that cannot be stored


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"Jo \ud83d", "Jo \ufffd"),
        (rb"Jo \udc00\ud800", "Jo \ufffd\ufffd"),
        (b"Jo \xff", "Jo \ufffd"),
        (rb"Jo \ud83d\ude00", "Jo \U0001f600"),
    ],
)
def test_an_inbound_call_arrives_whatever_its_display_name_holds(written: bytes, read: str) -> None:
    body = sample("call.initiated.incoming").replace(b'"+15550145"', b'"' + written + b'"')
    arrival = parse_now(body).arrival
    assert arrival
    assert arrival.from_ == read


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("call.answered", b'"payload": {', b'"payload": {"odd": NaN, "more": [-Infinity],'),
        ("call.answered", b'"payload": {', b'"payload": {"call_leg_id": "first",'),
        ("call.answered", b'"payload": {', b'"payload": {"odd": ' + b"[" * 300 + b"]" * 300 + b","),
        ("call.answered", b'"payload": {', b'"payload": {"odd": ' + b"9" * 9_000 + b","),
        ("call.answered", b'{\n  "data"', b'\xef\xbb\xbf{\n  "data"'),
    ],
    ids=["NaN", "duplicate", "deep", "long number", "byte order mark"],
)
def test_json_that_strict_readers_refuse_is_applied(name: str, old: bytes, new: bytes) -> None:
    assert old in sample(name)
    webhook = parse_now(sample(name).replace(old, new, 1))
    assert webhook == parse_now(sample(name))


# Values that are too long or not credible


@pytest.mark.parametrize(
    "occurred_at",
    [
        None,
        "today",
        7,
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-11-20T11:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_an_event_without_a_credible_time_has_happened_now(occurred_at: object) -> None:
    webhook = parse_now(envelope("call.answered", occurred_at))
    assert webhook.event == CallAnswered(Leg("v3:leg"), NOW_MS)
    assert webhook.unreadable == (() if occurred_at is None else ("occurred_at",))


@pytest.mark.parametrize("event_id", ["x" * (MAX_EVENT_ID_LENGTH + 1), "\U0001f600" * 500, 7, None])
def test_an_event_has_a_short_id_that_a_redelivery_shares(event_id: object) -> None:
    told = json.loads(sample("call.answered"))
    told["data"]["id"] = event_id
    first = parse_now(json.dumps(told | {"meta": {"attempt": 1}}).encode())
    second = parse_now(json.dumps(told | {"meta": {"attempt": 2}}).encode())
    told["data"]["id"] = "another" * 100
    assert first.event_id == second.event_id
    assert len(first.event_id.encode()) <= MAX_EVENT_ID_LENGTH
    assert parse_now(json.dumps(told).encode()).event_id != first.event_id


def test_long_texts_are_cut() -> None:
    long = "x" * 100_000
    kind = parse_now(envelope(f"call.{long}"))
    assert len(kind.event_type) == MAX_EVENT_TYPE_LENGTH
    hung_up = parse_now(envelope("call.hangup", hangup_cause=long, hangup_source=long))
    assert isinstance(hung_up.event, CallHungUp)
    assert len(hung_up.event.hangup.cause + hung_up.event.hangup.source) <= 2 * MAX_WORD_LENGTH
    assert len(hung_up.detail) <= MAX_DETAIL_LENGTH
    arrived = parse_now(envelope("call.initiated", direction="incoming", to=long, **{"from": long}))
    assert arrived.arrival
    assert len(arrived.arrival.to + arrived.arrival.from_) <= 2 * MAX_ADDRESS_LENGTH
