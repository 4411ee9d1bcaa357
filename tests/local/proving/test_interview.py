"""The questions of `make prove`, asked of a simulator that gives each possible answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from aws.stack import free_port
from doctor_checks.config import DoctorConfig
from prove import ask_line
from proving.line import Waits
from proving.line_questions import PROMPT
from proving.questions import LINE_QUESTIONS, NOT_ASKED, QUESTIONS, UNCLEAR, ProviderAnswer
from proving.report import report_of
from proving.sound_questions import BEEP_PROMPT
from proving.stream_questions import SPEAK_PROMPT
from simulators.audio.speech import SAMPLE_RATE_HZ
from simulators.scenario import NOT_A_WORD, CallerLine
from simulators.telnyx import call as simulated_call
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.call import SimulatedCall
from simulators.telnyx.server import TelnyxSimulator
from simulators.telnyx.undocumented import Undocumented
from tests.support.waiting import until

TO, FROM = "+15550142", "+15550199"
SPEAKING_MS_PER_CHARACTER = 5
TALKATIVE = replace(NOT_A_WORD, caller=(CallerLine("caller_book"),))
SOON = Waits(
    inbound=10,
    answer=10,
    key=6,
    socket=2,
    news=3,
    media=1,
    spoken=3,
    early_repetition=0,
    late_repetition=1,
    retries=4,
    lookups=(0, 0.1),
)


@pytest.fixture(autouse=True)
def _fast_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the carrier's voice speak four times as fast."""
    monkeypatch.setattr(simulated_call, "SPEAKING_MS_PER_CHARACTER", SPEAKING_MS_PER_CHARACTER)


@dataclass(slots=True)
class SimulatedReader:
    """The person on the phone, who does what the voice says."""

    phone: TelnyxSimulator
    presses: bool = True

    async def obey(self) -> None:
        await until(lambda: bool(self.phone.calls))
        call = self.phone.calls[0]
        done: list[str] = []

        def has_news() -> bool:
            return len(call.spoken) > len(done) or call.ended.is_set()

        while not call.ended.is_set():
            await until(has_news)
            for text in call.spoken[len(done) :]:
                done.append(text)
                if key := await self._key_for(text, call):
                    await call.press(key)

    async def _key_for(self, text: str, call: SimulatedCall) -> str:
        if not self.presses:
            return ""
        if text == BEEP_PROMPT:
            before = beeps_heard(call)
            await until(lambda: beeps_heard(call) > before and is_quiet(call))
            await until(lambda: bool(call.conversation.said))
            return str(beeps_heard(call) - before)
        return {PROMPT: "1", SPEAK_PROMPT: "2"}.get(text, "")


def beeps_heard(call: SimulatedCall) -> int:
    """How many stretches of sound the person has heard, with silence after each."""
    loud = loud_parts(call)
    return int(np.count_nonzero(loud[:-1] & ~loud[1:]))


def is_quiet(call: SimulatedCall) -> bool:
    """For longer than the pause between two beeps."""
    return not loud_parts(call)[-10:].any()


def loud_parts(call: SimulatedCall) -> npt.NDArray[np.bool_]:
    """For each tenth of a second of the call, whether the person heard something in it."""
    assert call.sound
    agent = np.abs(call.sound.channels[:, 1].astype(int))
    parts = agent[: len(agent) // 800 * 800].reshape(-1, SAMPLE_RATE_HZ // 10)
    return np.asarray(parts.max(axis=1) > 1000, np.bool_)


@asynccontextmanager
async def proving(
    undocumented: Undocumented, *, presses: bool = True, waits: Waits = SOON, **person: Any
) -> AsyncIterator[tuple[TelnyxSimulator, list[ProviderAnswer]]]:
    port = free_port()
    patient = {"hangs_up": False, "silence_timeout_ms": 600_000}
    callee = Person(TALKATIVE, answers_after_ms=20, **patient | person)
    faults = CarrierFaults(undocumented=undocumented)
    async with TelnyxSimulator(person=callee, faults=faults, keeps_sound=True) as phone:
        config = DoctorConfig.from_env(
            {
                "TELNYX_API_BASE": phone.api_base,
                "TELNYX_API_KEY": "KEY-test",
                "TELNYX_PUBLIC_KEY": phone.public_key,
                "TELNYX_CONNECTION_ID": "42",
                "TELNYX_FROM_NUMBER": FROM,
                "BASE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            }
        )
        async with asyncio.TaskGroup() as tasks:
            obeying = tasks.create_task(SimulatedReader(phone, presses).obey())
            findings = [finding async for finding in ask_line(config, TO, port, waits)]
            obeying.cancel()
        yield phone, findings


async def answers_of(undocumented: Undocumented, **person: Any) -> dict[str, str]:
    async with proving(undocumented, **person) as (phone, findings):
        assert all(call.state == "ended" for call in phone.calls)
        secrets = [TO[1:], FROM[1:], "KEY-test", "127.0.0.1", phone.public_key]
        secrets += [call.call_control_id for call in phone.calls]
    assert not [each for each in secrets if each in report_of(findings)]
    found = {finding.question: finding.answer for finding in findings}
    assert set(found) == set(LINE_QUESTIONS)
    unknown = [each for each in findings if each.answer not in QUESTIONS[each.question].answers]
    assert unknown == []
    return found


async def test_a_carrier_as_the_simulator_has_always_been() -> None:
    assert await answers_of(Undocumented()) == {
        "dial_repeated": "same_call",
        "key_press": "heard",
        "stream_id_in_started": "no",
        "timestamp_unit": "milliseconds",
        "frame_length": "20_ms",
        "frames_in_silence": "continuous",
        "short_chunks": "accepted",
        "speak_beside_stream": "heard",
        "second_stream": "refused",
        "stop_then_start": "works",
        "dropped_socket": "stopped",
        "start_after_drop": "works",
        "closed_socket": "stopped",
        "l16_24k": "accepted",
        "l16_order": "big",
        "l16_order_received": "other_codec",
        "command_id_early": "ignored",
        "command_id_late": "ignored",
        "silent_leg": "stays",
        "source_addresses": "hidden",
        "rate_limit": "hidden",
        "hangup_repeated": "already_over",
        "webhook_retries": "same_id",
        "lookup_after_end": "over",
    }


async def test_a_carrier_that_reconnects_and_turns_bytes_round() -> None:
    undocumented = Undocumented(
        second_stream="replaces",
        after_break="reconnects",
        speak_beside_stream="not_heard",
        l16_order="little",
        accepts_l16_24k=False,
        timestamp_step=160,
        accepts_short_chunks=False,
        has_stream_id_in_started=True,
        dial_repeated="second_call",
        command_id_window_seconds=0.0,
        after_hangup="accepted",
        lookup_after_end="forgotten",
        webhook_retries="new_id",
        tells_rate_limit=True,
    )
    found = await answers_of(undocumented, codec="L16")
    assert found["second_stream"] == "replaces"
    assert (found["dropped_socket"], found["closed_socket"]) == ("reconnects", "reconnects")
    assert found["speak_beside_stream"] == "not_heard"
    assert (found["l16_order"], found["l16_order_received"]) == ("little", "little")
    assert found["l16_24k"] == "refused"
    assert found["timestamp_unit"] == "samples"
    assert found["short_chunks"] == "refused"
    assert found["stream_id_in_started"] == "yes"
    assert found["dial_repeated"] == "second_call"
    assert (found["command_id_early"], found["command_id_late"]) == ("executed", "executed")
    assert found["hangup_repeated"] == "accepted"
    assert found["lookup_after_end"] == "forgotten"
    assert found["webhook_retries"] == "new_id"
    assert found["rate_limit"] == "shown"


async def test_a_carrier_that_tells_nothing_and_refuses_much() -> None:
    undocumented = Undocumented(
        second_stream="both",
        after_break="nothing",
        start_after_break="needs_stop",
        speak_beside_stream="never_started",
        timestamp_step=1,
        sends_silence=False,
        dial_repeated="refused",
        refuses_used_command_id=True,
        after_hangup="other",
        lookup_after_end="stale",
        webhook_retries="never",
    )
    found = await answers_of(undocumented)
    assert found["second_stream"] == "both"
    assert (found["dropped_socket"], found["closed_socket"]) == ("nothing", "nothing")
    assert found["start_after_drop"] == "needs_stop"
    assert found["speak_beside_stream"] == "never_started"
    assert found["timestamp_unit"] == "no_media"
    assert found["dial_repeated"] == "refused"
    assert (found["command_id_early"], found["command_id_late"]) == ("refused", "refused")
    assert found["hangup_repeated"] == "other"
    assert found["lookup_after_end"] == "stale"
    assert found["webhook_retries"] == "never"


async def test_a_carrier_whose_broken_streams_stay_broken() -> None:
    undocumented = Undocumented(
        second_stream="no_socket",
        after_break="failed",
        start_after_break="never",
        speak_beside_stream="refused",
        command_id_window_seconds=0.5,
    )
    async with proving(undocumented) as (_, findings):
        found = {finding.question: finding.answer for finding in findings}
    assert found["second_stream"] == "no_socket"
    assert found["dropped_socket"] == "failed"
    assert found["start_after_drop"] == "never"
    assert found["speak_beside_stream"] == "refused"
    assert found["command_id_late"] == "executed"


async def test_a_carrier_that_ends_a_silent_leg() -> None:
    undocumented = Undocumented(silent_leg_ends_after_ms=6_000)
    async with proving(undocumented, waits=replace(SOON, late_repetition=30)) as (_, findings):
        found = {finding.question: finding for finding in findings}
    assert found["silent_leg"].answer == "ended"
    assert found["silent_leg"].detail.endswith("s: media_timeout")
    assert found["command_id_late"].answer == UNCLEAR


async def test_a_call_that_nobody_reacts_to_is_ended_and_leaves_questions_open() -> None:
    waits = replace(SOON, key=0.5, retries=0)
    async with proving(Undocumented(), presses=False, waits=waits) as (phone, findings):
        [call] = phone.calls
        await call.ended.wait()
    found = {finding.question: finding.answer for finding in findings}
    assert found["key_press"] == "no_key"
    assert "second_stream" not in found
    assert "| What does a second `streaming_start` do" in report_of(findings)


async def test_a_person_who_hangs_up_leaves_the_rest_open() -> None:
    waits = replace(SOON, retries=0)
    async with proving(Undocumented(), waits=waits, max_call_ms=5_000) as (_, findings):
        found = {finding.question: finding.answer for finding in findings}
    assert found["key_press"] == "heard"
    assert found["hangup_repeated"] == NOT_ASKED
    assert found["lookup_after_end"] == "over"


async def test_a_refused_dial_is_the_only_answer() -> None:
    async with TelnyxSimulator(person=Person(TALKATIVE)) as phone:
        port = free_port()
        config = DoctorConfig.from_env(
            {
                "TELNYX_API_BASE": phone.api_base,
                "TELNYX_API_KEY": "KEY-wrong",
                "TELNYX_PUBLIC_KEY": phone.public_key,
                "TELNYX_CONNECTION_ID": "42",
                "TELNYX_FROM_NUMBER": FROM,
                "BASE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            }
        )
        findings = [finding async for finding in ask_line(config, TO, port, SOON)]
    assert [(each.question, each.answer) for each in findings] == [("dial_repeated", NOT_ASKED)]
    assert "401" in findings[0].detail
