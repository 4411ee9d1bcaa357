"""Webhooks: signed ones move calls, all others move nothing."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import telnyx_webhook
from control_plane import services
from phonebridge.call.call import MAX_STREAMS, Call, CallStatus, Fault, Leg, Outcome
from phonebridge.call.config import CallConfig, Fallback
from phonebridge.call.events import (
    AnnouncementEnded,
    CallAnswered,
    CallerInformed,
    CallEvent,
    CallRequested,
    DialAccepted,
    MediaAttached,
    NextStreamRequested,
    StreamClosed,
    StreamingFailed,
    StreamingStopped,
)
from phonebridge.call.steering import TransferFinished
from phonebridge.call.streams import MAX_FAILURES_AT_ONCE
from phonebridge.call.transfer import TransferRequested
from phonebridge.call.usage import Charge
from phonebridge.errors import Conflict
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import DynamoFleet
from phonebridge.storage.mailbox import DynamoMailbox
from phonebridge.telnyx.webhook_payloads import inbound_call_id
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import after, outbound_call
from tests.support.clock import Clock
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")

SAMPLES = Path(__file__).parents[2] / "events" / "telnyx"
CALL_ID = "6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41"  # of the samples' client_state
LEG = Leg("v3:sample-Kq1Zt0u7Jw3mXyB_4cR9vQ", "5a0e7c1e-4b7d-4c57-8f65-0d6f3f0b9b10")

SESSION_LEG = replace(LEG, call_session_id="c2f4a7d9-91c3-4e0a-a1f4-6f0b5f8f2c11")
INCOMING_LEG = Leg("v3:sample-Zx8Pq2Lw5nTgHs_7dE1yUa", "e41b1d35-6f0a-4b0f-9d55-7b1d9f7c2a12")

LATER_MS = 1_900_000_000_000

Deliver = Callable[..., Answer]
LogLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def sign(signing_key: Ed25519PrivateKey, clock: Clock) -> Callable[[bytes], dict[str, str]]:
    def headers(body: bytes) -> dict[str, str]:
        timestamp = str(clock.now_ms // 1000)
        signature = signing_key.sign(timestamp.encode() + b"|" + body)
        return {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": timestamp,
        }

    return headers


@pytest.fixture
def deliver(sign: Callable[[bytes], dict[str, str]]) -> Deliver:
    """Sign and hand over what a sample or a test says."""

    def hand_over(webhook: str | bytes, *, as_base64: bool = False) -> Answer:
        body = webhook if isinstance(webhook, bytes) else sample(webhook)
        return receive(body, sign(body), as_base64=as_base64)

    return hand_over


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> LogLines:
    written = StringIO()
    monkeypatch.setattr(services.log.registered_handler, "stream", written)
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def receive(body: bytes, headers: dict[str, str], *, as_base64: bool = False) -> Answer:
    event = api_event("POST", "/webhooks/telnyx", body, headers, as_base64=as_base64)
    return read_answer(telnyx_webhook.handler(event, None))


@pytest.fixture
def dialing(store: DynamoCallStore) -> Call:
    call = after(outbound_call(CALL_ID), CallRequested(), DialAccepted(LEG))
    store.create(call, CallConfig())
    return call


class TestTransferring:
    """What becomes of a transfer reaches the container, under the role that webhooks have."""

    @pytest.fixture(autouse=True)
    def transferring(self, store: DynamoCallStore) -> None:
        told = (
            CallRequested(),
            DialAccepted(LEG),
            CallAnswered(LEG, 5_000),
            MediaAttached(1, "task-1", 6_000),
            TransferRequested("+15550142"),
        )
        store.create(after(outbound_call(CALL_ID), *told), CallConfig())

    def test_the_call_goes_on_without_us_when_it_is_bridged(
        self,
        deliver: Deliver,
        store: DynamoCallStore,
        mailbox: DynamoMailbox,
        telnyx: RecordedTelnyx,
    ) -> None:
        assert deliver("call.bridged").status == 200

        call = store.load(CALL_ID)
        assert call
        assert call.status is CallStatus.TRANSFERRED
        assert telnyx.names == ["streaming_stop"]
        assert [posted.command for posted in mailbox.collect("task-1")] == [TransferFinished(None)]

    def test_a_busy_target_leaves_the_call_up(
        self, deliver: Deliver, store: DynamoCallStore, mailbox: DynamoMailbox
    ) -> None:
        name = base64.b64encode(f"{CALL_ID}/transfer/1".encode()).decode()
        hangup = json.loads(sample("call.hangup"))
        target = {"call_control_id": "v3:target", "call_leg_id": "target", "client_state": name}
        hangup["data"]["payload"] |= target | {"hangup_cause": "user_busy"}

        assert deliver(json.dumps(hangup).encode()).status == 200

        call = store.load(CALL_ID)
        assert call
        assert call.status is CallStatus.STREAMING
        [posted] = mailbox.collect("task-1")
        assert posted.command == TransferFinished("user_busy")


def failed(stream_number: int) -> StreamingFailed:
    return StreamingFailed(Fault("streaming_failed", "connection_failed", 50_000), stream_number)


PARKED = MAX_FAILURES_AT_ONCE + 1
TOO_MANY_FAILURES: tuple[CallEvent, ...] = (
    StreamingStopped(1),
    *(failed(number) for number in range(2, PARKED + 1)),
)


class TestParked:
    """What follows the carrier's sentence to a caller whose media streams failed to open."""

    @pytest.fixture(autouse=True)
    def began(self, clock: Clock) -> None:
        self.began_ms = clock.now_ms

    def park(self, store: DynamoCallStore, *events: CallEvent) -> None:
        begun = (
            CallRequested(),
            DialAccepted(LEG),
            CallAnswered(LEG, self.began_ms),
            MediaAttached(1, "task-1", self.began_ms),
        )
        config = CallConfig(fallback=Fallback(transfer_to="+15550142"))
        store.create(after(outbound_call(CALL_ID), *begun, *events), config)

    def test_the_next_stream_is_tried(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx
    ) -> None:
        self.park(store, *TOO_MANY_FAILURES, CallerInformed(PARKED))

        assert deliver(speak_ended()).status == 200

        assert telnyx.names == ["streaming_start"]
        [(_, start)] = telnyx.commands
        assert start["stream_url"].endswith(f"/{CALL_ID}/{PARKED + 1}")

    def test_the_fallback_is_called_if_no_container_has_room(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx
    ) -> None:
        parked = NextStreamRequested(1, has_room=False)
        self.park(store, parked, StreamClosed(1), CallerInformed(1))

        assert deliver(speak_ended()).status == 200

        assert telnyx.names == ["transfer"]
        [(_, transfer)] = telnyx.commands
        assert transfer["to"] == "+15550142"

    def test_the_fallback_is_called_after_the_goodbye_of_the_last_stream(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx
    ) -> None:
        events: list[CallEvent] = []
        for number in range(1, MAX_STREAMS):
            events += [StreamingStopped(number), attached(number + 1)]
        self.park(store, *events, StreamingStopped(MAX_STREAMS), CallerInformed(MAX_STREAMS))

        assert deliver(speak_ended()).status == 200

        assert telnyx.names == ["transfer"]

    def test_a_caller_who_never_heard_the_agent_hears_a_goodbye_before_the_hangup(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx
    ) -> None:
        up = (CallRequested(), DialAccepted(LEG), CallAnswered(LEG, self.began_ms))
        earlier = (failed(number) for number in range(1, MAX_STREAMS))
        store.create(after(outbound_call(CALL_ID), *up, *earlier), CallConfig())

        assert deliver(streaming_failed(MAX_STREAMS)).status == 200
        assert telnyx.names == ["speak"]
        assert deliver(speak_ended(f"{CALL_ID}/announcement/{MAX_STREAMS}")).status == 200

        assert telnyx.names == ["speak", "hangup"]
        ended = store.load(CALL_ID)
        assert ended
        assert (ended.outcome, ended.reason) == ("failed", "streaming_failed")

    @pytest.mark.parametrize("state", [f"{CALL_ID}/announcement/{PARKED}", CALL_ID])
    def test_words_that_end_late_or_again_do_not_count_for_the_next_ones(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx, state: str
    ) -> None:
        first = (*TOO_MANY_FAILURES, CallerInformed(PARKED), AnnouncementEnded(PARKED))
        again = (NextStreamRequested(PARKED), failed(PARKED + 1), CallerInformed(PARKED + 1))
        self.park(store, *first, *again)
        before = store.load(CALL_ID)

        for _ in range(2):
            assert deliver(speak_ended(state)).status == 200

        assert store.load(CALL_ID) == before
        assert telnyx.names == []
        assert deliver(speak_ended(f"{CALL_ID}/announcement/{PARKED + 1}")).status == 200
        assert telnyx.names == ["streaming_start"]

    def test_words_that_end_at_any_other_time_change_nothing(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx
    ) -> None:
        self.park(store)
        before = store.load(CALL_ID)

        assert deliver(speak_ended()).status == 200

        assert store.load(CALL_ID) == before
        assert telnyx.names == []


@pytest.mark.parametrize(
    "names", [["streaming.stopped", "call.hangup"], ["call.hangup", "streaming.stopped"]]
)
def test_a_normal_hangup_is_no_failure_though_its_stream_stops_first(
    names: list[str],
    deliver: Deliver,
    store: DynamoCallStore,
    telnyx: RecordedTelnyx,
    log_lines: LogLines,
) -> None:
    """The next stream is requested at once, and the refusal of the request ends the call."""
    up = (CallRequested(), DialAccepted(LEG), CallAnswered(LEG, 5_000), attached(1))
    store.create(after(outbound_call(CALL_ID), *up), CallConfig())
    telnyx.refusals = [(422, {"errors": [{"code": "90018", "title": "Call has already ended"}]})]
    telnyx.legs = {"is_alive": False, "end_time": "2026-09-14T09:31:35.493828Z"}

    assert [deliver(name).status for name in names] == [200, 200]

    record = store.record(CALL_ID)
    assert record
    call = record.call
    assert (call.outcome, call.reason, call.fault) == ("completed", "callee_hung_up", None)
    assert telnyx.names == ["streaming_start"] * (names[0] == "streaming.stopped")
    assert not [entry for entry in record.timeline if "FAILED" in entry.what]
    assert {line["level"] for line in log_lines()} == {"INFO"}


def attached(stream_number: int) -> MediaAttached:
    return MediaAttached(stream_number, "task-1", LATER_MS)


def streaming_failed(stream_number: int) -> bytes:
    webhook = json.loads(sample("streaming.failed"))
    url = f"wss://media.example/media-bridge/{CALL_ID}/{stream_number}"
    webhook["data"]["payload"]["stream_params"]["stream_url"] = url
    return json.dumps(webhook).encode()


def speak_ended(state: str = CALL_ID) -> bytes:
    webhook = json.loads(sample("call.answered"))
    webhook["data"]["payload"]["client_state"] = base64.b64encode(state.encode()).decode()
    webhook["data"] |= {"event_type": "call.speak.ended", "id": "speak-1"}
    return json.dumps(webhook).encode()


@pytest.mark.usefixtures("dialing")
class TestSigned:
    def test_an_answered_call_is_streamed(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx
    ) -> None:
        answer = deliver("call.answered")

        assert (answer.status, answer.json) == (200, {"received": True})
        [(path, start)] = telnyx.commands
        assert path == f"/v2/calls/{LEG.call_control_id}/actions/streaming_start"
        assert start["stream_url"] == f"wss://phonebridge.example/media-bridge/{CALL_ID}/1"
        call = store.load(CALL_ID)
        assert call
        assert call.status is CallStatus.ANSWERED

    def test_the_raw_body_counts_however_it_is_wrapped(self, deliver: Deliver) -> None:
        assert deliver("call.answered", as_base64=True).status == 200

    def test_what_the_carrier_charges_is_on_record(
        self, deliver: Deliver, store: DynamoCallStore
    ) -> None:
        assert [deliver("call.cost").status for _ in range(2)] == [200, 200]

        record = store.record(CALL_ID)
        assert record
        assert record.charges == (Charge(LEG.call_leg_id, 14_000, "USD"),)

    def test_a_busy_number_gives_the_place_back_that_was_reserved_for_its_call(
        self, deliver: Deliver, store: DynamoCallStore, fleet: DynamoFleet
    ) -> None:
        call = store.load(CALL_ID)
        assert call
        fleet.reserve(call)
        deliver("call.hangup.unanswered")
        assert fleet.look().reserved == 0

    def test_a_repetition_has_no_effect_of_its_own(
        self, deliver: Deliver, telnyx: RecordedTelnyx
    ) -> None:
        """Telnyx ignores a `command_id` that it has seen before."""
        assert [deliver("call.answered").status for _ in range(3)] == [200, 200, 200]

        assert set(telnyx.names) == {"streaming_start"}
        assert len({body["command_id"] for _, body in telnyx.commands}) == 1

    def test_the_end_may_be_told_before_the_answer(
        self, deliver: Deliver, store: DynamoCallStore
    ) -> None:
        deliver("call.hangup")
        deliver("call.answered")

        call = store.load(CALL_ID)
        assert call
        assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.COMPLETED)

    def test_a_refused_streaming_start_ends_the_call(
        self, deliver: Deliver, store: DynamoCallStore, telnyx: RecordedTelnyx, log_lines: LogLines
    ) -> None:
        telnyx.refusals = [(422, {"errors": [{"code": "90046", "title": "Streaming failed"}]})]

        assert deliver("call.answered").status == 200

        assert telnyx.names == ["streaming_start", "hangup"]
        call = store.load(CALL_ID)
        assert call
        assert (call.status, call.reason) == (CallStatus.ENDED, "streaming_start_failed")
        [failed] = [line for line in log_lines() if line["message"] == "streaming_start FAILED"]
        assert failed["call_id"] == CALL_ID
        assert "Streaming failed" in failed["reason"]

    def test_a_refused_hangup_is_left_to_the_sweeper(
        self, deliver: Deliver, telnyx: RecordedTelnyx
    ) -> None:
        refusal = (422, {"errors": [{"code": "10015", "title": "Bad request"}]})
        telnyx.refusals = [refusal, refusal]

        assert deliver("call.answered").status == 200

    def test_every_line_of_the_log_names_the_call_and_none_a_number(
        self, deliver: Deliver, log_lines: LogLines
    ) -> None:
        deliver("call.hangup")

        lines = log_lines()
        assert {line["call_id"] for line in lines} == {CALL_ID}
        assert lines[0]["message"] == "webhook received"
        assert lines[0]["event_type"] == "call.hangup"
        assert "15550" not in json.dumps(lines)

    @pytest.mark.parametrize(
        "lose",
        [Conflict("ten others were faster"), RuntimeError("the table is gone")],
        ids=["race", "table"],
    )
    def test_what_a_redelivery_may_mend_is_asked_for_again(
        self,
        lose: Exception,
        deliver: Deliver,
        monkeypatch: pytest.MonkeyPatch,
        store: DynamoCallStore,
    ) -> None:
        def fail(store: DynamoCallStore, call: Call) -> None:
            raise lose

        with monkeypatch.context() as broken:
            broken.setattr(DynamoCallStore, "save", fail)
            failed = deliver("call.answered")
        repeated = deliver("call.answered")

        assert (failed.status, failed.error["code"]) == (500, "internal")
        assert str(lose) not in json.dumps(failed.json)
        assert repeated.status == 200
        call = store.load(CALL_ID)
        assert call
        assert call.status is CallStatus.ANSWERED

    def test_types_that_move_nothing_are_noted(
        self, deliver: Deliver, store: DynamoCallStore, dialing: Call
    ) -> None:
        unknown = sample("call.hold").replace(b"call.hold", b"call.beamed.up")

        assert deliver(unknown).status == 200

        record = store.record(CALL_ID)
        assert record
        assert record.call == dialing
        assert [entry.what for entry in record.timeline] == ["call.beamed.up"]


def payload_changed(name: str, **change: object) -> bytes:
    webhook = json.loads(sample(name))
    webhook["data"]["payload"] |= change
    return json.dumps(webhook).encode()


def as_state(name: str) -> str:
    return base64.b64encode(name.encode()).decode()


class TestOverwrittenState:
    """Any program's command replaces `client_state`; the ids of the leg decide."""

    @pytest.fixture(autouse=True)
    def calls(self, environment: None, telnyx: RecordedTelnyx) -> Any:
        plane = services.control_plane()
        plane.store.create(after(outbound_call(CALL_ID), CallRequested()), CallConfig())
        plane.switchboard.apply(CALL_ID, DialAccepted(SESSION_LEG))
        plane.store.link_leg(SESSION_LEG, CALL_ID)
        other = after(outbound_call("other"), CallRequested(), DialAccepted(Leg("v3:x", "x", "y")))
        plane.store.create(after(other, CallAnswered(Leg("v3:x", "x", "y"), 5_000)), CallConfig())
        before = plane.store.load("other")
        yield
        assert plane.store.load("other") == before

    @pytest.mark.parametrize("state", [None, "", "?", as_state("somebody"), as_state("other"), 7])
    def test_of_an_outbound_call(
        self, deliver: Deliver, store: DynamoCallStore, log_lines: LogLines, state: object
    ) -> None:
        for name in ("call.initiated", "call.answered", "call.hangup"):
            assert deliver(payload_changed(name, client_state=state)).status == 200

        call = store.load(CALL_ID)
        assert call
        assert (call.outcome, call.reason) == (Outcome.COMPLETED, "callee_hung_up")
        assert {line["call_id"] for line in log_lines()} == {CALL_ID}

    @pytest.mark.parametrize("state", [None, as_state("other"), as_state("somebody")])
    def test_of_a_transfers_target(
        self, deliver: Deliver, store: DynamoCallStore, mailbox: DynamoMailbox, state: object
    ) -> None:
        switchboard = services.control_plane().switchboard
        switchboard.apply(CALL_ID, CallAnswered(SESSION_LEG, 5_000))
        switchboard.apply(CALL_ID, MediaAttached(1, "task-1", 6_000))
        switchboard.apply(CALL_ID, TransferRequested("+15550142"))
        target = {"call_control_id": "v3:target", "call_leg_id": "target", "client_state": state}

        assert deliver(payload_changed("call.initiated", **target)).status == 200
        busy = payload_changed("call.hangup", **target, hangup_cause="user_busy")
        assert deliver(busy).status == 200

        call = store.load(CALL_ID)
        assert call
        assert (call.status, call.leg) == (CallStatus.STREAMING, SESSION_LEG)
        [posted] = mailbox.collect("task-1")
        assert posted.command == TransferFinished("user_busy")


@pytest.mark.usefixtures("dialing")
class TestStrange:
    """Unexpected content voids a field, never the webhook."""

    @pytest.mark.parametrize(
        ("change", "fields"),
        [
            ({"sip_hangup_cause": 486.0}, []),
            ({"sip_hangup_cause": [486]}, ["sip_hangup_cause"]),
            ({"hangup_source": 7, "sip_hangup_cause": {}}, ["hangup_source", "sip_hangup_cause"]),
            ({"call_session_id": "x" * 5_000}, ["call_session_id"]),
        ],
        ids=str,
    )
    def test_a_field_is_told_once_and_the_rest_is_applied(
        self,
        deliver: Deliver,
        store: DynamoCallStore,
        log_lines: LogLines,
        change: dict[str, object],
        fields: list[str],
    ) -> None:
        assert deliver(payload_changed("call.hangup", **change)).status == 200

        call = store.load(CALL_ID)
        assert call
        assert call.status is CallStatus.ENDED
        told = [line for line in log_lines() if line["message"] == "webhook fields unreadable"]
        assert sorted(sum((line["fields"] for line in told), [])) == fields
        assert len(told) == bool(fields)

    @pytest.mark.parametrize(
        "change",
        [
            {"occurred_at": "0001-01-01T00:00:00+14:00"},
            {"occurred_at": "9999-12-31T23:59:59Z"},
            {"id": "x" * 2_048},
            {"id": "\U0001f600" * 1_000},
            {"event_type": "call." + "x" * 40_000},
            {"id": ["x"], "occurred_at": {}},
        ],
        ids=lambda change: str(change)[:40],
    )
    def test_nothing_is_too_long_or_too_old(
        self,
        deliver: Deliver,
        store: DynamoCallStore,
        log_lines: LogLines,
        change: dict[str, object],
    ) -> None:
        webhook = json.loads(sample("call.hangup"))
        webhook["data"] |= change

        assert deliver(json.dumps(webhook).encode()).status == 200
        assert deliver(json.dumps(webhook).encode()).status == 200

        assert max(len(json.dumps(line)) for line in log_lines()) < 1_000
        record = store.record(CALL_ID)
        assert record
        assert len(record.timeline) == 1

    @pytest.mark.parametrize("as_base64", [True, False])
    @pytest.mark.parametrize("name", [rb"Jo \ud83d", rb"\udfff", rb"Jo \uffff"])
    def test_an_inbound_call_is_answered_whatever_its_caller_is_called(
        self, deliver: Deliver, telnyx: RecordedTelnyx, name: bytes, as_base64: bool
    ) -> None:
        directory = services.control_plane().directory
        directory.put_agent("reception", greeting="Good morning!")
        directory.assign("+15550100", "reception")
        body = sample("call.initiated.incoming")
        body = body.replace(b'"from": "+15550145"', b'"from": "' + name + b'"')

        assert deliver(body, as_base64=as_base64).status == 200

        assert telnyx.names == ["answer"]

    def test_a_recording_is_kept_whatever_stands_in_its_strings(
        self, deliver: Deliver, log_lines: LogLines
    ) -> None:
        body = payload_changed("call.recording.saved", channels="\udc00\uffff")

        assert deliver(body).status == 200

        assert "webhook FAILED" not in [line["message"] for line in log_lines()]

    def test_a_body_of_lone_surrogates_is_not_signed(
        self, sign: Callable[[bytes], dict[str, str]]
    ) -> None:
        event = api_event("POST", "/webhooks/telnyx", b"", sign(b"x")) | {"body": "\ud800"}

        assert read_answer(telnyx_webhook.handler(event, None)).status == 401


class TestSignedForNobody:
    def test_an_unknown_call_is_no_reason_to_repeat(
        self, deliver: Deliver, telnyx: RecordedTelnyx, log_lines: LogLines
    ) -> None:
        assert deliver("call.answered").status == 200

        assert telnyx.commands == []
        assert "webhook for an unknown call" in [line["message"] for line in log_lines()]

    def test_nor_is_the_long_state_of_another_application(self, deliver: Deliver) -> None:
        webhook = json.loads(sample("call.answered"))
        webhook["data"]["payload"]["client_state"] = base64.b64encode(b"x" * 4000).decode()

        assert deliver(json.dumps(webhook).encode()).status == 200

    def test_an_inbound_call_is_answered_by_the_agent_of_its_number(
        self, deliver: Deliver, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        directory = services.control_plane().directory
        directory.put_agent("reception", greeting="Good morning!", max_duration_seconds=9_999)
        directory.assign("+15550100", "reception")

        assert deliver("call.initiated.incoming").status == 200

        assert telnyx.names == ["answer"]
        assert store.config(inbound_call_id(INCOMING_LEG)) == CallConfig(
            agent="reception", greeting="Good morning!", max_duration_seconds=3_300
        )

    def test_an_inbound_call_gets_the_fallback_of_the_deployment(
        self, deliver: Deliver, store: DynamoCallStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FALLBACK_TRANSFER_TO", "+15550142")
        services.control_plane.cache_clear()
        services.control_plane().directory.put_agent("default")
        assert deliver("call.initiated.incoming").status == 200
        config = store.config(inbound_call_id(INCOMING_LEG))
        assert config
        assert config.fallback == Fallback(transfer_to="+15550142")

    def test_an_inbound_call_to_an_unknown_number_is_rejected(
        self, deliver: Deliver, telnyx: RecordedTelnyx
    ) -> None:
        assert deliver("call.initiated.incoming").status == 200

        [(path, rejection)] = telnyx.commands
        assert path == f"/v2/calls/{INCOMING_LEG.call_control_id}/actions/reject"
        assert rejection["cause"] == "NOT_FOUND"

    @pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"data": {}}', b"\xff"])
    def test_what_is_no_webhook_is_unreadable(self, body: bytes, deliver: Deliver) -> None:
        refused = deliver(body, as_base64=True)

        assert (refused.status, refused.error["code"]) == (400, "unreadable")


@pytest.mark.usefixtures("dialing")
class TestNotSigned:
    @pytest.fixture(autouse=True)
    def _nothing_moves(
        self, store: DynamoCallStore, dialing: Call, telnyx: RecordedTelnyx, environment: None
    ) -> Any:
        yield
        assert store.load(CALL_ID) == dialing
        assert telnyx.commands == []

    def test_unsigned(self) -> None:
        refused = receive(sample("call.answered"), {})

        assert (refused.status, refused.error["code"]) == (401, "invalid_signature")

    def test_altered(self, sign: Callable[[bytes], dict[str, str]]) -> None:
        body = sample("call.answered")

        assert receive(body + b" ", sign(body)).status == 401

    def test_signed_by_another(self, clock: Clock) -> None:
        body, timestamp = sample("call.answered"), str(clock.now_ms // 1000)
        signature = Ed25519PrivateKey.generate().sign(timestamp.encode() + b"|" + body)
        headers = {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": timestamp,
        }

        assert receive(body, headers).status == 401

    def test_replayed_later(self, sign: Callable[[bytes], dict[str, str]], clock: Clock) -> None:
        body = sample("call.answered")
        headers = sign(body)
        clock.pass_seconds(301)

        assert receive(body, headers).status == 401

    def test_garbage_is_not_even_parsed(self) -> None:
        assert receive(b"{", {}).status == 401

    def test_what_is_no_base64_is_unreadable(self) -> None:
        event = api_event("POST", "/webhooks/telnyx", b"") | {"isBase64Encoded": True, "body": "?"}

        assert read_answer(telnyx_webhook.handler(event, None)).status == 400

    @pytest.mark.parametrize(
        ("public_key", "message"),
        [("", "TELNYX_PUBLIC_KEY not configured"), ("c2hvcnQ=", "32-byte")],
    )
    def test_without_a_public_key_every_webhook_is_refused(
        self, public_key: str, message: str, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TELNYX_PUBLIC_KEY", public_key)
        services.control_plane.cache_clear()

        refused = deliver("call.answered")

        assert (refused.status, refused.error["code"]) == (503, "not_configured")
        assert message in refused.error["message"]
