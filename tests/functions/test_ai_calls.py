"""Calls as a program sees them: placed, watched, interrupted, ended, refused."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

import ai_calls
from control_plane.api.requests.create_call import CreateCall, fingerprint
from control_plane.pricing import PRICES_AS_OF
from phonebridge.call.call import Call, Hangup
from phonebridge.call.config import CallConfig, Fallback, StreamSetup, Transcription, TurnDetection
from phonebridge.call.events import (
    CallAnswered,
    CallHungUp,
    CallRequested,
    DialAccepted,
)
from phonebridge.call.machine_detection import MachineDetection, OnMachine
from phonebridge.call.turn import Latency, Speaker, Turn
from phonebridge.call.usage import Charge, ModelUsage, Usage
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import DynamoFleet, TaskState
from tests.support.api_events import Answer, api_event, read_answer
from tests.support.calls import LEG, after, outbound_call, store_call, streaming_call
from tests.support.clock import Clock
from tests.support.recorded_telnyx import RecordedTelnyx

pytestmark = pytest.mark.usefixtures("environment")

CREATE = "/api/ai-calls/create"
TO = {"to": "+15550100"}
KEY = {"idempotency-key": "order-1042, first try"}
REFUSAL = (403, {"errors": [{"code": "10010", "title": "No", "detail": "Only verified numbers."}]})

Reconfigure = Callable[..., None]


def request(method: str, path: str, **more: Any) -> Answer:
    return read_answer(ai_calls.handler(api_event(method, path, **more), None))


def create(body: object, **more: Any) -> Answer:
    return request("POST", CREATE, body=json.dumps(body).encode(), **more)


def ended_call(clock: Clock) -> Call:
    hangup = CallHungUp(LEG, Hangup("normal_clearing", "callee", clock.now_ms))
    answered = CallAnswered(LEG, clock.now_ms - 12_500)
    return after(outbound_call(), CallRequested(), DialAccepted(LEG), answered, hangup)


class TestPlacingACall:
    def test_hd_voice_is_refused_where_the_model_has_the_lines_own_g711(
        self, telnyx: RecordedTelnyx, reconfigure: Reconfigure
    ) -> None:
        assert create(TO | {"codec": "L16"}).status == 201
        reconfigure(MODEL_AUDIO="g711")
        refused = create(TO | {"codec": "L16"})
        assert refused.status == 422
        assert "codec" in str(refused.error)
        agent = request("PUT", "/api/agents/hd", body=b'{"codec": "L16"}')
        assert agent.status == 422

    def test_dials_and_answers_with_the_call(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        created = create(TO | {"instructions": "Be friendly."})

        assert created.status == 201
        call_id = created.json["call_id"]
        assert created.json == {
            "call_id": call_id,
            "status": "dialing",
            "direction": "outbound",
            "outcome": None,
            "reason": None,
            "answered_by": None,
            "to": "+15550100",
            "from": "+15550199",
            "placed_by": None,
            "created_at": "2026-11-18T11:06:40Z",
            "answered_at": None,
            "streaming_at": None,
            "ended_at": None,
            "duration_seconds": None,
            "warnings": [],
        }
        [(path, dial)] = telnyx.commands
        assert path == "/v2/calls"
        assert (dial["to"], dial["from"], dial["command_id"]) == ("+15550100", "+15550199", call_id)
        assert store.config(call_id) == CallConfig(instructions="Be friendly.")

    def test_a_call_without_a_fallback_gets_that_of_the_deployment(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore, reconfigure: Reconfigure
    ) -> None:
        """The operator's own number need not be among the allowed destinations."""
        reconfigure(FALLBACK_SAY="We are sorry.", FALLBACK_TRANSFER_TO="+442079460000")
        config = store.config(create(TO).json["call_id"])
        assert config
        assert config.fallback == Fallback(say="We are sorry.", transfer_to="+442079460000")
        own = create(TO | {"fallback": {"say": "Please call us back."}})
        config = store.config(own.json["call_id"])
        assert config
        assert config.fallback == Fallback(say="Please call us back.")

    def test_where_there_is_no_room_nobodys_phone_rings(
        self, telnyx: RecordedTelnyx, fleet: DynamoFleet, clock: Clock
    ) -> None:
        fleet.beat(TaskState("task-1", 1, 1, 0, draining=False))
        first = create(TO, headers=KEY)
        assert first.status == 201
        assert fleet.look().reserved == 1

        refused = create(TO)

        assert refused.status == 429
        assert refused.json["error"]["code"] == "at_capacity"
        assert int(refused.headers["Retry-After"]) > 0
        assert telnyx.names == ["calls"]
        assert create(TO, headers=KEY).json["call_id"] == first.json["call_id"], "no second call"
        clock.pass_seconds(61)
        fleet.beat(TaskState("task-1", 1, 1, 0, draining=False))
        assert create(TO).status == 201

    def test_a_refused_dial_takes_no_room(
        self, telnyx: RecordedTelnyx, fleet: DynamoFleet, clock: Clock
    ) -> None:
        fleet.beat(TaskState("task-1", 2, 2, 0, draining=False))
        telnyx.refusals = [REFUSAL]
        assert create(TO).status == 502
        assert fleet.look().reserved == 0

    def test_keeps_every_wish(self, store: DynamoCallStore) -> None:
        wishes = {
            "instructions": "Sell nothing.",
            "voice": "cedar",
            "greeting": "Hello!",
            "language": "de-CH",
            "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
            "max_duration_seconds": 60,
            "codec": "PCMA",
            "machine_detection": {"mode": "leave_message", "message": "Call us back."},
            "record": True,
            "record_dtmf": False,
            "stream_setup": "prepared",
            "metadata": {"order": "1042"},
        }

        created = create(TO | {"from": "+15550111"} | wishes)

        assert created.json["from"] == "+15550111"
        assert store.config(created.json["call_id"]) == CallConfig(
            instructions="Sell nothing.",
            voice="cedar",
            greeting="Hello!",
            language="de-CH",
            turn_detection=TurnDetection("semantic_vad", eagerness="low"),
            max_duration_seconds=60,
            codec="PCMA",
            machine_detection=MachineDetection(OnMachine.LEAVE_MESSAGE, "Call us back."),
            record=True,
            record_dtmf=False,
            stream_setup=StreamSetup.PREPARED,
            metadata={"order": "1042"},
        )

    def test_the_models_own_patience_does_not_go_with_a_prepared_greeting(self) -> None:
        """It would run out while the phone rings."""
        impatient = {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}
        refused = create(TO | impatient | {"stream_setup": "prepared"})
        assert refused.status == 422
        assert refused.json["error"]["details"][0]["field"] == "turn_detection.idle_timeout_ms"
        assert create(TO | impatient | {"stream_setup": "with_dial"}).status == 201

    @pytest.mark.parametrize("setup", ["with_dial", "prepared"])
    def test_opens_the_media_stream_with_the_dial(self, telnyx: RecordedTelnyx, setup: str) -> None:
        created = create(TO | {"stream_setup": setup})
        [(path, dial)] = telnyx.commands
        assert path == "/v2/calls"
        assert dial["stream_url"].endswith(f"/media-bridge/{created.json['call_id']}/1")
        assert dial["stream_auth_token"]
        record = request("GET", f"/api/ai-calls/{created.json['call_id']}")
        assert record.json["config"]["stream_setup"] == setup

    def test_tunes_the_detector_of_silence(self, store: DynamoCallStore) -> None:
        detection = {"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 300}

        created = create(
            TO | {"turn_detection": detection, "idle_timeout_seconds": 10, "idle_prompts": 0}
        )

        config = store.config(created.json["call_id"])
        assert config == CallConfig(
            turn_detection=TurnDetection("server_vad", 0.7, silence_duration_ms=300),
            idle_timeout_seconds=10,
            idle_prompts=0,
        )

    def test_chooses_the_model_and_how_it_hears_and_speaks(self, store: DynamoCallStore) -> None:
        wishes = {
            "model": "gpt-realtime-2.1",
            "voice": "voice_1234",
            "speed": 1.25,
            "turn_detection": {
                "type": "server_vad",
                "idle_timeout_ms": 6000,
                "create_response": False,
                "interrupt_response": False,
            },
            "noise_reduction": "off",
            "transcription": {"model": "gpt-live-transcribe", "keywords": ["Ada", "Telnyx"]},
            "reasoning_effort": "low",
            "max_output_tokens": 1000,
        }

        created = create(TO | wishes)

        assert created.json["warnings"] == []
        call_id = created.json["call_id"]
        assert store.config(call_id) == CallConfig(
            model="gpt-realtime-2.1",
            voice="voice_1234",
            speed=1.25,
            turn_detection=TurnDetection(
                idle_timeout_ms=6000, create_response=False, interrupt_response=False
            ),
            noise_reduction=None,
            transcription=Transcription("gpt-live-transcribe", keywords=("Ada", "Telnyx")),
            reasoning_effort="low",
            max_output_tokens=1000,
        )
        shown = request("GET", f"/api/ai-calls/{call_id}").json["config"]
        assert shown["transcription"]["keywords"] == ["Ada", "Telnyx"]
        assert shown["turn_detection"]["idle_timeout_ms"] == 6000
        assert (shown["model"], shown["speed"]) == ("gpt-realtime-2.1", 1.25)

    def test_a_model_with_a_last_day_is_warned_about(self) -> None:
        wishes = {"model": "gpt-realtime", "transcription": {"model": "whisper-1"}}
        assert create(TO | wishes).json["warnings"] == [
            "model: gpt-realtime is shut down on 2027-01-20.",
            "transcription.model: whisper-1 is shut down on 2027-02-26.",
        ]

    @pytest.mark.parametrize(("former", "now"), [("fable", "ballad"), ("nova", "coral")])
    def test_former_voices_are_spoken_by_the_nearest(
        self, former: str, now: str, store: DynamoCallStore
    ) -> None:
        created = create(TO | {"voice": former})

        [warning] = created.json["warnings"]
        assert former in warning
        assert now in warning
        config = store.config(created.json["call_id"])
        assert config
        assert config.voice == now

    def test_temperature_is_reported_as_without_effect(self) -> None:
        [warning] = create(TO | {"temperature": 0.7}).json["warnings"]

        assert warning.startswith("temperature:")

    def test_null_is_the_same_as_nothing(self, store: DynamoCallStore) -> None:
        created = create(dict.fromkeys(CreateCall.model_json_schema()["properties"]) | TO)

        assert created.status == 201
        assert store.config(created.json["call_id"]) == CallConfig()

    def test_lasts_no_longer_than_the_operator_allows(
        self, reconfigure: Reconfigure, store: DynamoCallStore
    ) -> None:
        reconfigure(MAX_CALL_MINUTES="10")

        refused = create(TO | {"max_duration_seconds": 601})
        config = store.config(create(TO).json["call_id"])

        assert refused.status == 422
        assert refused.error["details"] == [
            {"field": "max_duration_seconds", "problem": "must be at most 600"}
        ]
        assert config
        assert config.max_duration_seconds == 600

    def test_reads_json_whatever_it_is_called_and_however_it_is_wrapped(self) -> None:
        body = json.dumps(TO).encode()
        form = {"content-type": "application/x-www-form-urlencoded"}

        as_form = request("POST", CREATE, body=body, headers=form, as_base64=True)

        assert as_form.status == 201


class TestRepeatingARequest:
    def test_the_same_key_and_body_is_the_same_call(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        wanted = {"to": "+15550100", "metadata": {"order": "1042", "shop": "7"}}
        first = create(wanted, headers=KEY)
        reordered = b'{ "metadata": {"shop": "7", "order": "1042"},\n "to": "\\u002b15550100" }'
        again = request("POST", CREATE, body=reordered, headers=KEY)

        assert (again.status, again.json) == (201, first.json)
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
        assert telnyx.names == ["calls"]

    def test_another_body_is_refused(self, telnyx: RecordedTelnyx) -> None:
        create(TO, headers=KEY)

        refused = create({"to": "+15550101"}, headers=KEY)

        assert (refused.status, refused.error["code"]) == (409, "idempotency_key_reused")
        assert telnyx.names == ["calls"]

    def test_a_request_that_died_before_its_call_was_stored_is_taken_up(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        claim = store.claim_key(KEY["idempotency-key"], fingerprint(TO), "c0ffee00")

        taken_up = create(TO, headers=KEY)

        assert (taken_up.status, taken_up.json["call_id"]) == (201, claim.call_id)
        assert telnyx.names == ["calls"]

    def test_a_refused_request_leaves_the_key_free(self) -> None:
        create({"to": "nobody"}, headers=KEY)

        assert create(TO, headers=KEY).status == 201

    def test_nor_does_one_that_is_too_large_take_the_key(self) -> None:
        too_large = create(TO | {"instructions": "\U0001f600" * 32_768}, headers=KEY)

        assert too_large.status == 422
        assert create(TO, headers=KEY).status == 201

    def test_the_first_answer_stands_though_its_agent_is_gone(self, telnyx: RecordedTelnyx) -> None:
        request("PUT", "/api/agents/reception", body=b"{}")
        first = create(TO | {"agent": "reception"}, headers=KEY)
        assert request("DELETE", "/api/agents/reception").status == 204

        again = create(TO | {"agent": "reception"}, headers=KEY)

        assert (again.status, again.json) == (201, first.json)
        assert telnyx.names == ["calls"]

    def test_a_call_that_the_carrier_did_not_take_is_no_success_the_second_time(
        self, telnyx: RecordedTelnyx
    ) -> None:
        telnyx.refusals = [REFUSAL]
        first = create(TO, headers=KEY)

        again = create(TO, headers=KEY)

        assert (first.status, again.status) == (502, 502)
        assert again.error["code"] == "dial_failed"
        assert again.error["message"] == first.error["message"]
        assert again.error["details"] == {
            "provider": "telnyx",
            "call_id": first.error["details"]["call_id"],
        }
        assert telnyx.names == ["calls"]

    def test_a_dial_that_broke_off_on_our_side_is_no_success_the_second_time(
        self, telnyx: RecordedTelnyx, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def break_off(*_: object, **__: object) -> None:
            raise ValueError("Invalid header value b'Bearer KEY-test'")

        monkeypatch.setattr(urllib3.PoolManager, "request", break_off)
        first = create(TO, headers=KEY)
        again = create(TO, headers=KEY)

        assert (first.status, again.status) == (500, 502)
        assert again.error["code"] == "dial_failed"
        assert "ValueError" in again.error["message"]
        assert "KEY-test" not in json.dumps([first.json, again.json])
        [call] = request("GET", "/api/ai-calls/status", query={"ended": "true"}).json["calls"]
        assert (call["outcome"], call["reason"]) == ("failed", "dial_failed")
        assert telnyx.commands == []

    @pytest.mark.parametrize(
        ("kind", "write"), [(DynamoFleet, "reserve"), (DynamoCallStore, "link_leg")]
    )
    def test_a_call_that_rings_is_told_and_not_dialled_again_whatever_could_not_be_written(
        self, kind: type, write: str, telnyx: RecordedTelnyx, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def throttle(*_: object) -> None:
            problem = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
            raise ClientError(problem, "PutItem")  # type: ignore[arg-type]

        monkeypatch.setattr(kind, write, throttle)

        first = create(TO, headers=KEY)
        again = create(TO, headers=KEY)

        assert (first.status, first.json["status"]) == (201, "dialing")
        assert again.json["call_id"] == first.json["call_id"]
        assert telnyx.names == ["calls"]

    @pytest.mark.parametrize("key", ["", "k" * 256])
    def test_a_bad_key_is_named(self, key: str) -> None:
        refused = create(TO, headers={"idempotency-key": key})

        assert refused.status == 422
        assert refused.error["details"][0]["field"] == "idempotency-key"


class TestBadRequests:
    @pytest.mark.without_table
    @pytest.mark.parametrize(
        "body",
        [
            None,
            b"",
            b"to=+15550100",
            b'{"to": "+15550100"',
            b'{"to": "+15550100", "temperature": NaN}',
            b'{"to": "+15550100", "temperature": -Infinity}',
            b'{"to": "+15550100", "temperature": 1e999}',
            b'{"to": "+15550100", "tools": [{"parameters": {"maximum": -1e999}}]}',
            b'{"to": "+15550100", "to": "+15550101"}',
            b'{"to": "+15550100", "max_duration_seconds": 1' + b"0" * 5000 + b"}",
            b"[" * 100_000,
            b'["+15550100"]',
            b'"+15550100"',
            b"null",
        ],
        ids=lambda body: (body or b"nothing")[:40].decode(),
    )
    def test_what_is_no_json_object_is_unreadable(
        self, body: bytes | None, telnyx: RecordedTelnyx
    ) -> None:
        refused = request("POST", CREATE, body=body)

        assert (refused.status, refused.error["code"]) == (400, "unreadable")
        assert telnyx.commands == []

    def test_a_byte_order_mark_is_overlooked(self) -> None:
        assert request("POST", CREATE, body=b"\xef\xbb\xbf" + json.dumps(TO).encode()).status == 201

    def test_what_is_no_utf8_is_unreadable(self) -> None:
        refused = request("POST", CREATE, body=b'{"to": "\xff"}', as_base64=True)

        assert (refused.status, refused.error["code"]) == (400, "unreadable")

    def test_what_is_no_base64_is_unreadable(self) -> None:
        event = api_event("POST", CREATE, b"{}") | {"isBase64Encoded": True, "body": "{}="}

        refused = read_answer(ai_calls.handler(event, None))

        assert (refused.status, refused.error["code"]) == (400, "unreadable")

    @pytest.mark.without_table
    @pytest.mark.parametrize(
        ("wishes", "field"),
        [
            ({"to": None}, "to"),
            ({"to": 15550100}, "to"),
            ({"to": ["+15550100"]}, "to"),
            ({"to": "15550100"}, "to"),
            ({"to": "+05550100"}, "to"),
            ({"to": "+1555010012345678"}, "to"),
            ({"to": "+15550100\n"}, "to"),
            ({"to": "+1555\u0660100"}, "to"),
            ({"to": "sip:someone@example.com"}, "to"),
            ({"from": "me"}, "from"),
            ({"from_": "+15550100"}, "from_"),
            ({"instructions": ""}, "instructions"),
            ({"instructions": "x" * 32_769}, "instructions"),
            ({"instructions": "\ud800"}, "instructions"),
            ({"voice": "hal"}, "voice"),
            ({"greeting": "x" * 1001}, "greeting"),
            ({"language": "German"}, "language"),
            ({"turn_detection": {"threshold": 0.5}}, "turn_detection.type"),
            ({"turn_detection": {"type": "none"}}, "turn_detection.type"),
            (
                {"turn_detection": {"type": "server_vad", "threshold": 1.1}},
                "turn_detection.threshold",
            ),
            (
                {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}},
                "turn_detection.threshold",
            ),
            (
                {"turn_detection": {"type": "server_vad", "silence_duration_ms": 99}},
                "turn_detection.silence_duration_ms",
            ),
            (
                {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 4999}},
                "turn_detection.idle_timeout_ms",
            ),
            (
                {"turn_detection": {"type": "semantic_vad", "create_response": 1}},
                "turn_detection.create_response",
            ),
            (
                {
                    "turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000},
                    "idle_timeout_seconds": 6,
                },
                "idle_timeout_seconds",
            ),
            ({"model": ""}, "model"),
            ({"model": "gpt realtime"}, "model"),
            ({"model": "m" * 101}, "model"),
            ({"voice": "voice_"}, "voice"),
            ({"speed": 0.2}, "speed"),
            ({"speed": 1.51}, "speed"),
            ({"noise_reduction": "none"}, "noise_reduction"),
            ({"noise_reduction_strength": 1.1}, "noise_reduction_strength"),
            ({"transcription": "whisper-1"}, "transcription"),
            ({"transcription": {"model": ""}}, "transcription.model"),
            ({"transcription": {"prompt": ""}}, "transcription.prompt"),
            (
                {"transcription": {"model": "gpt-realtime-whisper", "prompt": "Names."}},
                "transcription.prompt",
            ),
            (
                {"transcription": {"model": "whisper-1", "keywords": ["Ada"]}},
                "transcription.keywords",
            ),
            ({"transcription": {"keywords": ["x"] * 101}}, "transcription.keywords"),
            ({"transcription": {"keywords": ["x" * 101]}}, "transcription.keywords.0"),
            ({"reasoning_effort": "much"}, "reasoning_effort"),
            (
                {"model": "gpt-realtime-1.5", "reasoning_effort": "low"},
                "reasoning_effort",
            ),
            ({"max_output_tokens": 0}, "max_output_tokens"),
            ({"max_output_tokens": 4097}, "max_output_tokens"),
            ({"temperature": 1.1}, "temperature"),
            ({"temperature": "0.5"}, "temperature"),
            ({"max_duration_seconds": 29}, "max_duration_seconds"),
            ({"max_duration_seconds": 3301}, "max_duration_seconds"),
            ({"max_duration_seconds": 60.5}, "max_duration_seconds"),
            ({"max_duration_seconds": True}, "max_duration_seconds"),
            ({"idle_timeout_seconds": 2}, "idle_timeout_seconds"),
            ({"idle_timeout_seconds": 121}, "idle_timeout_seconds"),
            ({"idle_prompts": 6}, "idle_prompts"),
            ({"barge_in_min_ms": 2001}, "barge_in_min_ms"),
            ({"codec": "pcma"}, "codec"),
            ({"codec": "G722"}, "codec"),
            ({"record": "yes"}, "record"),
            ({"record_dtmf": 1}, "record_dtmf"),
            ({"stream_setup": "at_once"}, "stream_setup"),
            ({"metadata": {"order": 1042}}, "metadata.order"),
            ({"metadata": {"order": "x" * 513}}, "metadata.order"),
            ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
            ({"tools": {}}, "tools"),
            ({"machine_detection": True}, "machine_detection"),
            ({"machine_detection": {"mode": "shout"}}, "machine_detection.mode"),
            ({"machine_detection": {"mode": "leave_message"}}, "machine_detection.message"),
            (
                {"machine_detection": {"mode": "hang_up", "message": "Hi"}},
                "machine_detection.message",
            ),
            (
                {"machine_detection": {"mode": "leave_message", "message": "x" * 1001}},
                "machine_detection.message",
            ),
            (
                {"machine_detection": {"mode": "hang_up", "method": "magic"}},
                "machine_detection.method",
            ),
        ],
    )
    def test_a_bad_field_is_named(
        self, wishes: dict[str, Any], field: str, telnyx: RecordedTelnyx
    ) -> None:
        refused = create(TO | wishes)

        assert (refused.status, refused.error["code"]) == (422, "invalid_field")
        assert refused.error["details"][0]["field"] == field
        assert field in refused.error["message"]
        assert telnyx.commands == []

    def test_every_bad_field_is_named(self) -> None:
        refused = create({"to": "x", "voice": "hal", "shout": True})

        fields = {detail["field"] for detail in refused.error["details"]}
        assert fields == {"to", "voice", "shout"}

    def test_six_megabytes_are_refused_by_name(self) -> None:
        assert create(TO | {"instructions": "x" * 6_000_000}).status == 422

    def test_settings_above_what_a_record_holds_are_refused(self) -> None:
        refused = create(TO | {"instructions": "\U0001f600" * 32_768})

        assert (refused.status, refused.error["code"]) == (422, "too_large")

    def test_unknown_routes_have_the_same_shape(self) -> None:
        for method, path in (("GET", "/api/ai-calls"), ("PUT", "/api/"), ("DELETE", "/api/x")):
            refused = request(method, path)
            assert (refused.status, refused.error["code"]) == (404, "unknown_route")

    @pytest.mark.parametrize("call_id", ["nobody", "x" * 5000])
    @pytest.mark.parametrize(
        ("method", "what"),
        [("GET", ""), ("GET", "/status"), ("POST", "/hangup"), ("POST", "/interrupt")],
    )
    def test_an_unknown_call_is_not_found(self, method: str, what: str, call_id: str) -> None:
        refused = request(method, f"/api/ai-calls/{call_id}{what}")

        assert (refused.status, refused.error["code"]) == (404, "unknown_call")

    def test_a_fault_of_ours_tells_nothing_of_our_insides(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lose_power(store: DynamoCallStore, call_id: str) -> None:
            raise RuntimeError("rack 7 lost its power")

        monkeypatch.setattr(DynamoCallStore, "record", lose_power)

        failed = request("GET", "/api/ai-calls/call-1")

        assert (failed.status, failed.error["code"]) == (500, "internal")
        assert "rack 7" not in json.dumps(failed.json)


class TestMissingSettings:
    def test_without_an_openai_key_no_call_is_placed(
        self, reconfigure: Reconfigure, telnyx: RecordedTelnyx
    ) -> None:
        reconfigure(OPENAI_API_KEY="")

        refused = create(TO)

        assert refused.status == 503
        assert refused.error == {
            "code": "not_configured",
            "message": "OpenAI API key not configured",
        }
        assert telnyx.commands == []

    def test_all_that_is_missing_is_named(self, reconfigure: Reconfigure) -> None:
        reconfigure(OPENAI_API_KEY="", TELNYX_API_KEY="", TELNYX_CONNECTION_ID="")

        message = create(TO).error["message"]

        assert message == "OpenAI API key, Telnyx API key, TELNYX_CONNECTION_ID not configured"

    def test_a_bad_field_is_told_first(self, reconfigure: Reconfigure) -> None:
        """What the sender can mend without the operator."""
        reconfigure(OPENAI_API_KEY="")

        assert create({"to": "nobody"}).status == 422

    def test_without_a_number_of_ours_the_request_must_name_one(
        self, reconfigure: Reconfigure
    ) -> None:
        reconfigure(TELNYX_FROM_NUMBER="")

        refused = create(TO)

        assert refused.status == 422
        assert refused.error["details"][0]["field"] == "from"
        assert create(TO | {"from": "+15550111"}).status == 201

    def test_calls_can_be_watched_without_keys(self, reconfigure: Reconfigure) -> None:
        reconfigure(OPENAI_API_KEY="", TELNYX_API_KEY="", TELNYX_PUBLIC_KEY="")

        assert request("GET", "/api/ai-calls/status").status == 200

    def test_a_bad_setting_is_named(self, reconfigure: Reconfigure) -> None:
        reconfigure(MAX_CALL_MINUTES="sixty")

        refused = request("GET", "/api/ai-calls/status")

        assert refused.status == 503
        assert "MAX_CALL_MINUTES" in refused.error["message"]


class TestTelnyxRefusing:
    REFUSAL = (
        403,
        {"errors": [{"code": "10010", "title": "No", "detail": "Only verified numbers."}]},
    )

    def test_a_refused_dial_tells_why_and_leaves_a_failed_call(
        self, telnyx: RecordedTelnyx
    ) -> None:
        telnyx.refusals = [REFUSAL]

        refused = create(TO)

        assert (refused.status, refused.error["code"]) == (502, "provider_refused")
        details = refused.error["details"]
        assert (details["provider"], details["code"], details["title"]) == ("telnyx", "10010", "No")
        call = request("GET", f"/api/ai-calls/{details['call_id']}").json
        assert (call["status"], call["outcome"], call["reason"]) == (
            "ended",
            "failed",
            "dial_failed",
        )
        assert "Only verified numbers." in call["fault"]["detail"]

    def test_an_unreachable_telnyx_is_told_apart(self, reconfigure: Reconfigure) -> None:
        reconfigure(TELNYX_API_BASE="http://127.0.0.1:9")

        refused = create(TO)

        assert (refused.status, refused.error["code"]) == (502, "provider_unreachable")
        assert refused.error["message"] == (
            "Telnyx did not answer: 127.0.0.1:9 takes no connection, at the last of 4 attempts. "
            "Try again in a minute; if it stays so, see whether TELNYX_API_BASE is right and can "
            "be reached from here."
        )
        assert refused.error["details"]["call_id"]

    def test_a_refused_hangup_names_the_call(
        self, telnyx: RecordedTelnyx, store: DynamoCallStore
    ) -> None:
        call = store_call(store, streaming_call())
        telnyx.refusals = [REFUSAL]

        refused = request("POST", f"/api/ai-calls/{call.call_id}/hangup")

        assert refused.status == 502
        assert refused.error["details"]["call_id"] == call.call_id


class TestWatching:
    def test_the_whole_record(self, store: DynamoCallStore, clock: Clock) -> None:
        store_call(store, ended_call(clock))
        said = Turn(
            number=1,
            who=Speaker.AGENT,
            text="Hello!",
            started_ms=120,
            ended_ms=900,
            latency=Latency(10, 60, 10),
        )
        cut_off = replace(said, number=2, who=Speaker.CALLER, text="I would li", partial=True)
        store.add_turns([("call-1", said), ("call-1", cut_off)])

        record = request("GET", "/api/ai-calls/call-1").json

        assert (record["status"], record["outcome"]) == ("ended", "completed")
        assert record["reason"] == "callee_hung_up"
        assert record["duration_seconds"] == 12.5
        [turn, unfinished] = record["turns"]
        assert (unfinished["text"], unfinished["partial"]) == ("I would li", True)
        assert turn == {
            "number": 1,
            "who": "agent",
            "text": "Hello!",
            "started_ms": 120,
            "ended_ms": 900,
            "interrupted": False,
            "unheard": "",
            "partial": False,
            "latency_ms": 80,
            "latency": {"detector_ms": None, "response_ms": 10, "model_ms": 60, "bridge_ms": 10},
        }
        assert record["activity"]["frames_in"] == 0
        assert record["usage"]["input_audio"] == 0
        assert record["config"]["voice"] == "marin"
        assert record["config"]["turn_detection"]["type"] == "server_vad"
        assert record == request("GET", "/api/ai-calls/call-1/status").json

    def test_the_record_tells_what_was_used_and_what_it_cost(
        self, store: DynamoCallStore, clock: Clock
    ) -> None:
        store_call(store, ended_call(clock))
        spoken = Usage(input_text=1_000, output_audio=2_000, responses=2, transcribed_ms=6_000)
        store.add_usage("call-1", ModelUsage(1, "gpt-realtime-2.1-mini", "gpt-transcribe", spoken))
        store.add_charge("call-1", Charge(LEG.call_leg_id, 2_500, "USD"))

        record = request("GET", "/api/ai-calls/call-1").json

        assert record["usage"]["output_audio"] == 2_000
        assert record["cost"] == {
            "currency": "USD",
            "model": 0.0406,
            "transcription": 0.00045,
            "carrier": 0.0025,
            "total": 0.04355,
            "prices_as_of": PRICES_AS_OF,
            "notes": [],
        }

    def test_the_operators_price_of_a_minute_stands_in_for_a_charge(
        self, store: DynamoCallStore, clock: Clock, reconfigure: Reconfigure
    ) -> None:
        reconfigure(TELNYX_MINUTE_PRICE="0.012")
        store_call(store, ended_call(clock))

        cost = request("GET", "/api/ai-calls/call-1").json["cost"]

        assert cost["carrier"] == 0.0025
        assert len(cost["notes"]) == 1

    def test_the_timeline_tells_what_failed(self, telnyx: RecordedTelnyx) -> None:
        call_id = create(TO).json["call_id"]
        telnyx.refusals = [(422, {"errors": [{"code": "10015", "title": "No"}]})]
        request("POST", f"/api/ai-calls/{call_id}/hangup")

        [entry] = request("GET", f"/api/ai-calls/{call_id}").json["timeline"]

        assert (entry["at"], entry["what"]) == ("2026-11-18T11:06:40Z", "hangup FAILED")

    def test_requests_at_the_same_time_get_their_own_answers(self, store: DynamoCallStore) -> None:
        calls = [store_call(store, outbound_call(f"call-{n}")).call_id for n in range(16)]

        with ThreadPoolExecutor(8) as threads:
            answers = threads.map(lambda call_id: request("GET", f"/api/ai-calls/{call_id}"), calls)

            assert [answer.json["call_id"] for answer in answers] == calls

    def test_live_calls_page_by_page(self, clock: Clock) -> None:
        placed = []
        for _ in range(3):
            placed.append(create(TO).json["call_id"])
            clock.pass_seconds(1)

        first = request("GET", "/api/ai-calls/status", query={"limit": "2"}).json
        rest = request("GET", "/api/ai-calls/status", query={"cursor": first["cursor"]}).json

        assert [c["call_id"] for c in first["calls"]] == [placed[2], placed[1]]
        assert [c["call_id"] for c in rest["calls"]] == [placed[0]]
        assert rest["cursor"] is None

    def test_ended_calls_of_a_day(self, store: DynamoCallStore, clock: Clock) -> None:
        store_call(store, ended_call(clock))

        def calls(**query: str) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = request("GET", "/api/ai-calls/status", query=query).json[
                "calls"
            ]
            return found

        assert calls() == []
        assert [call["call_id"] for call in calls(ended="true")] == ["call-1"]
        assert [call["call_id"] for call in calls(ended="true", day="2026-11-18")] == ["call-1"]
        assert calls(ended="true", day="2026-11-17") == []

    @pytest.mark.without_table
    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"limit": "0"}, "limit"),
            ({"limit": "many"}, "limit"),
            ({"ended": "perhaps"}, "ended"),
            ({"ended": "true", "day": "yesterday"}, "day"),
            ({"day": "2026-11-18"}, "day"),
        ],
    )
    def test_a_bad_question_is_named(self, query: dict[str, str], field: str) -> None:
        refused = request("GET", "/api/ai-calls/status", query=query)

        assert refused.status == 422
        assert refused.error["details"][0]["field"] == field

    def test_a_forged_cursor_is_refused_by_name(self) -> None:
        refused = request("GET", "/api/ai-calls/status", query={"cursor": "forged"})

        assert (refused.status, refused.error["code"]) == (422, "invalid_field")
        assert refused.error["details"][0]["field"] == "cursor"


@pytest.mark.without_table
@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "to", "is required"),
        ({"to": "555 0123"}, "to", "must be a number in E.164 form, such as +15550100"),
        (TO | {"phone": 1}, "phone", "is unknown here"),
        (TO | {"metadata": 1}, "metadata", "must be an object, not a number"),
        (TO | {"turn_detection": 1}, "turn_detection", "must be an object, not a number"),
        (
            TO | {"turn_detection": {}},
            "turn_detection.type",
            "is required: `server_vad` or `semantic_vad`",
        ),
        (
            TO | {"turn_detection": {"type": "none"}},
            "turn_detection.type",
            "must be one of `server_vad`, `semantic_vad`",
        ),
        (
            TO | {"voice": "hal"},
            "voice",
            "must be one of alloy, ash, ballad, cedar, coral, echo, marin, sage, shimmer, verse, "
            "or the id of a custom voice, such as voice_1234",
        ),
        (TO | {"language": "German"}, "language", "must be a language tag, such as de or en-US"),
        (TO | {"agent": "Front Desk"}, "agent", "must be 1 to 64 of a-z, 0-9 and -"),
        (
            TO | {"tools": [{"name": "book a table", "url": "https://practice.example"}]},
            "tools.0.name",
            "must be 1 to 64 letters, digits, _ and -",
        ),
        (
            TO | {"tools": [{"name": "book", "url": "ftp://practice.example"}]},
            "tools.0.url",
            "must be an https URL with a host, and a port only from 1 to 65535",
        ),
        (
            TO | {"webhook_url": "https://crm.example:70000/"},
            "webhook_url",
            "must be an https URL with a host, and a port only from 1 to 65535",
        ),
        (
            TO
            | {
                "tools": [
                    {
                        "name": "book",
                        "url": "https://practice.example",
                        "parameters": {"type": "object", "title": "\ud800"},
                    }
                ]
            },
            "tools.0.parameters",
            "must be Unicode text, without lone surrogates",
        ),
        (TO | {"tools": {}}, "tools", "must be a list, not an object"),
        (TO | {"greeting": " "}, "greeting", "must not be blank"),
        (
            TO | {"instructions": "\ud800"},
            "instructions",
            "must be Unicode text, without lone surrogates",
        ),
    ],
)
def test_a_refusal_speaks_of_the_field_and_not_of_our_language(
    body: object, field: str, problem: str
) -> None:
    refused = create(body)
    assert refused.status == 422
    assert refused.error["details"] == [{"field": field, "problem": problem}]


@pytest.mark.without_table
def test_no_refusal_shows_a_regular_expression() -> None:
    for field in CreateCall.model_json_schema()["properties"]:
        message = create(TO | {field: "?"}).json.get("error", {"message": ""})["message"]
        assert "pattern" not in message
        assert "^" not in message


def test_a_day_that_is_none_is_told_in_plain_words() -> None:
    refused = request("GET", "/api/ai-calls/status", query={"ended": "true", "day": "2026-02-30"})
    assert refused.error["message"] == "day: must be a date, such as 2026-11-25"


def test_a_number_of_very_many_digits_is_refused_in_plain_words() -> None:
    refused = request("POST", CREATE, body=b'{"to": ' + b"1" * 5000 + b"}")
    assert refused.status == 400
    assert refused.error["message"] == "The body is not JSON: a number has more than 100 digits"


def test_a_body_nested_too_deeply_is_refused_in_plain_words() -> None:
    refused = request("POST", CREATE, body=b"[" * 100_000)
    assert (refused.status, refused.error["message"]) == (400, "The body is nested too deeply.")
