"""Live calls, steered and ended by requests."""

import json
from typing import Any

import pytest

import ai_calls
from phonebridge.call.call import Call, Hangup
from phonebridge.call.config import TurnDetection
from phonebridge.call.events import CallAnswered, CallHungUp, CallRequested, DialAccepted
from phonebridge.call.steering import (
    Interrupt,
    Mute,
    Say,
    SayGoodbye,
    Side,
    StartTransfer,
    Steering,
    Update,
)
from phonebridge.call.tools import Tools
from phonebridge.call.transfer import CallTransferred, TargetHungUp, TransferRequested
from phonebridge.storage.call_store import TRANSFER_CLAIM_SECONDS, DynamoCallStore
from phonebridge.storage.mailbox import DynamoMailbox
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import LEG, after, outbound_call, store_call, streaming_call
from tests.support.clock import Clock
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")


def post(action: str, body: dict[str, Any] | None = None) -> Answer:
    encoded = None if body is None else json.dumps(body).encode()
    event = api_event("POST", f"/api/ai-calls/call-1/{action}", encoded)
    return read_answer(ai_calls.handler(event, None))


def ended_call(clock: Clock) -> Call:
    now_ms = clock.now_ms
    told = (
        CallAnswered(LEG, now_ms - 12_500),
        CallHungUp(LEG, Hangup("normal_clearing", "callee", now_ms)),
    )
    return after(streaming_call(), *told)


def posted_commands(mailbox: DynamoMailbox) -> list[Steering]:
    posted = mailbox.collect("task-1")
    assert {each.call_id for each in posted} <= {"call-1"}
    return [each.command for each in posted]


class TestHangingUp:
    def test_goes_to_telnyx(self, telnyx: RecordedTelnyx, store: DynamoCallStore) -> None:
        store_call(store, streaming_call())

        accepted = post("hangup")

        assert (accepted.status, accepted.json["call_id"]) == (202, "call-1")
        assert accepted.json["status"] == "streaming"
        assert telnyx.names == ["hangup"]

    def test_of_an_ended_call_answers_its_record(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore, clock: Clock
    ) -> None:
        store_call(store, ended_call(clock))

        answer = post("hangup")

        assert answer.status == 200
        assert answer.json["outcome"] == "completed"
        assert telnyx.commands == []

    def test_of_a_call_that_telnyx_knows_to_be_over_ends_it(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        store_call(store, streaming_call())
        telnyx.refusals = [(422, {"errors": [{"code": "90018", "title": "Already ended"}]})]

        accepted = post("hangup")

        assert (accepted.status, accepted.json["status"]) == (202, "ended")

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (404, {"errors": [{"code": "10005", "title": "Resource not found"}]}),
            (422, {"errors": [{"code": None}, {"code": 90015, "title": "Invalid"}]}),
            (404, {}),
        ],
        ids=str,
    )
    def test_of_a_leg_that_telnyx_has_forgotten_ends_the_call(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore, status: int, body: dict[str, Any]
    ) -> None:
        store_call(store, streaming_call())
        telnyx.refusals = [(status, body)]

        first, again = post("hangup"), post("hangup")

        assert (first.status, first.json["status"]) == (202, "ended")
        assert (again.status, again.json["reason"]) == (200, "ended_by_api")
        assert telnyx.names == ["hangup"]

    def test_after_a_last_sentence_is_the_containers_part(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore, mailbox: DynamoMailbox
    ) -> None:
        store_call(store, streaming_call())

        accepted = post("hangup", {"say": "Goodbye!"})

        assert accepted.status == 202
        assert posted_commands(mailbox) == [SayGoodbye("Goodbye!")]
        assert telnyx.commands == []

    def test_of_a_call_that_nobody_could_speak_on_is_at_once(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        store_call(store, after(outbound_call(), CallRequested(), DialAccepted(LEG)))

        assert post("hangup", {"say": "Goodbye!"}).status == 202
        assert telnyx.names == ["hangup"]

    def test_of_a_transferred_call_ends_both_legs(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        transferred = (TransferRequested("+15550142"), CallTransferred(60_000))
        store_call(store, after(streaming_call(), *transferred))

        assert post("hangup", {"say": "Nobody would hear this."}).status == 202
        assert telnyx.names == ["hangup"]


@pytest.mark.parametrize(
    ("action", "body", "command"),
    [
        ("interrupt", None, Interrupt()),
        ("interrupt", {}, Interrupt()),
        ("say", {"text": "Your table is ready."}, Say(words="Your table is ready.")),
        (
            "say",
            {"instruction": "Ask for the order's number.", "interrupt": True},
            Say(instruction="Ask for the order's number.", interrupt=True),
        ),
        ("update", {"instructions": "Speak German."}, Update(instructions="Speak German.")),
        (
            "update",
            {"voice": "cedar", "turn_detection": {"type": "server_vad", "threshold": 0.7}},
            Update(voice="cedar", turn_detection=TurnDetection(threshold=0.7)),
        ),
        ("update", {"tools": []}, Update(tools=Tools())),
        ("mute", None, Mute(Side.AGENT, True)),
        ("mute", {"side": "caller"}, Mute(Side.CALLER, True)),
        ("unmute", {"side": "agent"}, Mute(Side.AGENT, False)),
        ("transfer", {"to": "+15550142"}, StartTransfer(to="+15550142")),
        (
            "transfer",
            {
                "to": "sip:desk@pbx.example",
                "from": "+15550100",
                "mode": "warm",
                "summary": "A caller from Ulm.",
                "say": "One moment.",
            },
            StartTransfer(
                to="sip:desk@pbx.example",
                from_="+15550100",
                summary="A caller from Ulm.",
                words="One moment.",
            ),
        ),
    ],
)
class TestSteering:
    def test_reaches_the_task_that_owns_the_call(
        self,
        store: DynamoCallStore,
        mailbox: DynamoMailbox,
        action: str,
        body: dict[str, Any] | None,
        command: Steering,
    ) -> None:
        store_call(store, streaming_call())

        accepted = post(action, body)

        assert (accepted.status, accepted.json["status"]) == (202, "streaming")
        assert posted_commands(mailbox) == [command]

    def test_needs_a_streaming_call(
        self, store: DynamoCallStore, action: str, body: dict[str, Any] | None, command: Steering
    ) -> None:
        store_call(store, after(outbound_call(), CallRequested()))

        refused = post(action, body)

        assert (refused.status, refused.error["code"]) == (409, "wrong_state")
        assert "dialing" in refused.error["message"]

    def test_needs_a_call(
        self, action: str, body: dict[str, Any] | None, command: Steering
    ) -> None:
        assert post(action, body).status == 404


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("say", {}, "text"),
        ("say", {"text": ""}, "text"),
        ("say", {"text": " \n\u3000"}, "text"),
        ("say", {"instruction": " "}, "instruction"),
        ("interrupt", {"side": "agent"}, "side"),
        ("say", {"text": "x" * 1001}, "text"),
        ("say", {"text": "Hello", "instruction": "Greet."}, "text"),
        ("say", {"text": "Hello", "interrupt": "yes"}, "interrupt"),
        ("say", {"words": "Hello"}, "words"),
        ("update", {}, "instructions"),
        ("update", {"instructions": ""}, "instructions"),
        ("update", {"instructions": "x" * 32_769}, "instructions"),
        ("update", {"voice": "hal"}, "voice"),
        ("update", {"turn_detection": {"type": "none"}}, "turn_detection.type"),
        (
            "update",
            {"turn_detection": {"type": "server_vad", "threshold": 2}},
            "turn_detection.threshold",
        ),
        ("update", {"tools": [{"type": "hammer"}]}, "tools.0"),
        ("update", {"greeting": "Too late."}, "greeting"),
        ("mute", {"side": "both"}, "side"),
        ("transfer", {}, "to"),
        ("transfer", {"to": "5550142"}, "to"),
        ("transfer", {"to": "sip:nobody"}, "to"),
        ("transfer", {"to": "+15550142", "from": "me"}, "from"),
        ("transfer", {"to": "+15550142", "mode": "cold"}, "mode"),
        ("transfer", {"to": "+15550142", "mode": "warm"}, "summary"),
        ("transfer", {"to": "+15550142", "summary": "Nobody hears it."}, "summary"),
        ("dtmf", {}, "digits"),
        ("dtmf", {"digits": ""}, "digits"),
        ("dtmf", {"digits": "12E"}, "digits"),
        ("dtmf", {"digits": "1" * 65}, "digits"),
        ("dtmf", {"digits": "1", "duration_ms": 99}, "duration_ms"),
        ("dtmf", {"digits": "1", "duration_ms": 501}, "duration_ms"),
        ("transfer", {"to": "+15550142", "say": " "}, "say"),
        ("hangup", {"say": ""}, "say"),
        ("hangup", {"say": " "}, "say"),
        ("hangup", {"say": "x" * 1001}, "say"),
    ],
)
def test_a_bad_field_is_named(
    store: DynamoCallStore, action: str, body: dict[str, Any], field: str
) -> None:
    store_call(store, streaming_call())

    refused = post(action, body)

    assert refused.status == 422
    assert field in [each["field"] for each in refused.error["details"]]


@pytest.mark.without_table
@pytest.mark.parametrize(
    ("action", "body", "problem"),
    [
        (
            "transfer",
            {"to": "555 0142"},
            "must be a number in E.164 form, such as +15550142, or a SIP URI, such as "
            "sip:desk@pbx.example",
        ),
        ("dtmf", {"digits": "one"}, "must be 1 to 64 of 0-9, A-D, *, #, w and W"),
        ("say", {"text": " "}, "must not be blank"),
    ],
)
def test_a_bad_field_is_told_in_plain_words(
    action: str, body: dict[str, Any], problem: str
) -> None:
    [detail] = post(action, body).error["details"]
    assert detail["problem"] == problem


def test_an_update_tells_what_may_have_no_effect(store: DynamoCallStore) -> None:
    store_call(store, streaming_call())

    accepted = post("update", {"voice": "nova"})

    assert [warning.partition(":")[0] for warning in accepted.json["warnings"]] == ["voice"] * 2


class TestTransferring:
    def test_again_while_one_is_under_way_is_refused(self, store: DynamoCallStore) -> None:
        store_call(store, after(streaming_call(), TransferRequested("+15550142")))

        refused = post("transfer", {"to": "+15550143"})

        assert (refused.status, refused.error["code"]) == (409, "wrong_state")
        assert "under way" in refused.error["message"]

    def test_twice_before_the_first_has_begun_is_refused(
        self, store: DynamoCallStore, mailbox: DynamoMailbox
    ) -> None:
        store_call(store, streaming_call())

        answers = [post("transfer", {"to": f"+1555014{n}"}) for n in range(3)]

        assert [each.status for each in answers] == [202, 409, 409]
        assert "under way" in answers[1].error["message"]
        assert posted_commands(mailbox) == [StartTransfer(to="+15550140")]

    def test_that_never_began_leaves_room_for_another(
        self, store: DynamoCallStore, clock: Clock
    ) -> None:
        store_call(store, streaming_call())
        assert post("transfer", {"to": "+15550142"}).status == 202
        clock.pass_seconds(TRANSFER_CLAIM_SECONDS + 1)

        assert post("transfer", {"to": "+15550143"}).status == 202

    def test_again_after_a_failure_is_another_attempt(
        self, store: DynamoCallStore, mailbox: DynamoMailbox
    ) -> None:
        busy = (TransferRequested("+15550142"), TargetHungUp(1, "user_busy"))
        store_call(store, after(streaming_call(), *busy))

        assert post("transfer", {"to": "+15550143"}).status == 202
        assert posted_commands(mailbox) == [StartTransfer(to="+15550143")]

    def test_of_a_transferred_call_names_its_state(self, store: DynamoCallStore) -> None:
        transferred = (TransferRequested("+15550142"), CallTransferred(60_000))
        store_call(store, after(streaming_call(), *transferred))

        refused = post("transfer", {"to": "+15550143"})

        assert refused.status == 409
        assert "transferred" in refused.error["message"]


class TestPressingKeys:
    def test_goes_to_telnyx(self, telnyx: RecordedTelnyx, store: DynamoCallStore) -> None:
        store_call(store, streaming_call())

        accepted = post("dtmf", {"digits": "1w23#", "duration_ms": 300})

        assert accepted.status == 202
        [(path, body)] = telnyx.commands
        assert path == "/v2/calls/v3:leg-1/actions/send_dtmf"
        assert (body["digits"], body["duration_millis"]) == ("1w23#", 300)

    def test_needs_an_answered_call(self, telnyx: RecordedTelnyx, store: DynamoCallStore) -> None:
        store_call(store, after(outbound_call(), CallRequested()))

        refused = post("dtmf", {"digits": "1"})

        assert (refused.status, refused.error["code"]) == (409, "wrong_state")
        assert "dialing" in refused.error["message"]
        assert telnyx.commands == []

    def test_of_a_call_that_ends_meanwhile_names_its_state(
        self, store: DynamoCallStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store_call(store, ended_call(clock))
        looks = iter([streaming_call()])
        load = DynamoCallStore.load
        monkeypatch.setattr(
            DynamoCallStore, "load", lambda self, call_id: next(looks, load(self, call_id))
        )

        refused = post("dtmf", {"digits": "1"})

        assert refused.status == 409
        assert refused.error["message"] == (
            "Call call-1 is ended; only an answered call has keys to press."
        )

    def test_that_telnyx_refuses_tells_why(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        store_call(store, streaming_call())
        telnyx.refusals = [(422, {"errors": [{"code": "10033", "title": "Out of range"}]})]

        refused = post("dtmf", {"digits": "1"})

        assert refused.status == 502
        assert refused.error["details"]["title"] == "Out of range"

    def test_on_a_call_that_telnyx_knows_to_be_over_names_its_state(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        store_call(store, streaming_call())
        telnyx.refusals = [(422, {"errors": [{"code": "90018", "title": "Already ended"}]})]

        refused = post("dtmf", {"digits": "1"})

        assert refused.status == 409
        assert "ended" in refused.error["message"]
