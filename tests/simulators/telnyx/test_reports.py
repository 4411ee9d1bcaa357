"""The record of a call without a network. Webhooks are recorded even if there is no receiver."""

import time
from collections.abc import Coroutine

from simulators.scenario import SCENARIOS
from simulators.telnyx import events
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.reports import CallEnding, CallPlan, ReceivedCommand, ReportedCall
from simulators.telnyx.webhooks import WebhookSender, timestamp_now

PLAN = CallPlan("outgoing", "+15550100", "+15550199", "1", client_state="Y2FsbC0x", recorded=True)


class Nobody:
    sender: WebhookSender

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def run(self, delivery: Coroutine[None, None, None]) -> None:
        raise AssertionError("there is no URL to deliver to")

    @property
    def api_base(self) -> str:
        return "http://127.0.0.1:9500/v2"

    def notify(self, call_control_id: str, name: str, detail: str) -> None:
        self.shown.append((name, detail))


def new_call() -> tuple[ReportedCall, Nobody]:
    nobody = Nobody()
    return ReportedCall(nobody, PLAN, Person(SCENARIOS["short"]), CarrierFaults()), nobody


def test_a_call_is_ringing_then_answered_then_ended() -> None:
    call, _ = new_call()
    states = [call.state]
    call.answered = True
    states.append(call.state)
    call.ending = CallEnding("normal_clearing", "callee", "200")
    states.append(call.state)
    assert states == ["ringing", "answered", "ended"]


def test_the_end_reports_cause_quality_and_recording() -> None:
    call, nobody = new_call()
    call.answered, call.end_time = True, timestamp_now()
    call.ending = CallEnding("normal_clearing", "callee", "200")
    call.media.frames_out = 329
    call.post_ended()
    hangup, recording = (webhook.event.payload for webhook in call.webhooks)
    assert isinstance(hangup, events.CallHangupPayload)
    assert isinstance(hangup.call_quality_stats, dict)
    assert hangup.call_quality_stats["inbound"]["packet_count"] == "329"
    assert hangup.client_state == "Y2FsbC0x"
    assert isinstance(recording, events.RecordingSavedPayload)
    assert nobody.shown == [("hangup", "normal_clearing by callee")]


def test_a_command_id_is_known_for_the_window_and_only_if_it_took_effect() -> None:
    call, _ = new_call()
    now_s = time.monotonic()
    call.commands = [
        ReceivedCommand("hangup", {}, "refused", 422, now_s),
        ReceivedCommand("hangup", {}, "old", 200, now_s - 61),
        ReceivedCommand("hangup", {}, "recent", 200, now_s - 30),
    ]
    known = [each for each in ("refused", "old", "recent") if call.knows(each, 60)]
    assert known == ["recent"]
