"""Compares the call of `make demo` with its scenario.

Both simulators recognise the clips that they hear, so a line counts only if its sound arrived.
"""

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Any

from simulators.audio.speech import CLIPS, NOTHING_RECOGNISED, Recognition
from simulators.openai.session import SimulatedSession
from simulators.scenario import Scenario
from simulators.telnyx.call import SimulatedCall

Check = tuple[str, object, object]
"""What is checked, what it is, and what it should be."""


@dataclass(frozen=True, slots=True)
class FinishedCall:
    record: dict[str, Any]
    phone: SimulatedCall
    models: list[SimulatedSession]

    @property
    def recognitions_by_model(self) -> list[Recognition]:
        return [each for model in self.models for each in model.recognitions]

    @property
    def recognitions_by_caller(self) -> list[Recognition]:
        return self.phone.conversation.recognitions


@dataclass(frozen=True, slots=True)
class TurnLine:
    """A turn of the record, and how well the other side recognised it."""

    who: str
    text: str
    match: float
    snr_db: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    call_id: str
    outcome: str | None
    turns: list[TurnLine]
    interruptions: int
    first_audio_ms: int | None
    turn_latency_ms: int | None
    frames_in: int
    frames_out: int


def result_of(call: FinishedCall) -> DemoResult:
    person, activity = call.phone.conversation, call.record["activity"]
    latencies = person.turn_latencies_ms
    return DemoResult(
        call_id=call.record["call_id"],
        outcome=call.record["outcome"],
        turns=_turn_lines(call),
        interruptions=activity["interruptions"],
        first_audio_ms=person.first_audio_ms,
        turn_latency_ms=round(median(latencies)) if latencies else None,
        frames_in=activity["frames_in"],
        frames_out=activity["frames_out"],
    )


def problems_of(call: FinishedCall, scenario: Scenario, repeated_response: int) -> list[str]:
    """List what went wrong. The list is empty if nothing did.

    After the loss of a session, the model says the reply with the number `repeated_response`
    again.
    """
    person = call.phone.conversation
    caller_clips = [line.clip for line in scenario.caller]
    answers = [scenario.greeting, *(scenario.replies[clip] for clip in caller_clips)]
    again = answers[repeated_response - 1 : repeated_response] * (len(call.models) - 1)
    recorded = answers[:repeated_response] + again + answers[repeated_response:]
    by_model, by_caller = _names(call.recognitions_by_model), _names(call.recognitions_by_caller)
    interruptions = sum(line.interrupt_after_ms is not None for line in scenario.caller)
    checks: list[Check] = [
        ("lines of the caller, as the model recognised them", by_model, caller_clips),
        ("lines of the agent, as the caller recognised them", by_caller, answers),
        ("lines of the agent in the record", _texts_by(call, "agent"), _texts_of(recorded)),
        ("lines of the caller in the record", _texts_by(call, "caller"), _texts_of(caller_clips)),
        ("interruptions", len(person.interruptions), interruptions),
    ]
    return _differences([*checks, *_common_checks(call)])


def problems_after_loss(call: FinishedCall) -> list[str]:
    """List what went wrong in a call that lost its container. A line may be cut off there, and
    said again."""
    by_model, by_caller = _names(call.recognitions_by_model), _names(call.recognitions_by_caller)
    last_line = call.phone.conversation.said[-1:]
    streams = [each for each in call.record["timeline"] if each["what"] == "streaming.stopped"]
    checks: list[Check] = [
        ("last line of the caller, as the model recognised it", by_model[-1:], last_line),
        ("last line of the agent", by_caller[-1:], ["agent_goodbye"]),
        ("whether a stream was lost", bool(streams), True),
    ]
    return _differences([*checks, *_common_checks(call)])


def _common_checks(call: FinishedCall) -> list[Check]:
    errors = [error.message for model in call.models for error in model.errors]
    return [
        ("outcome", call.record["outcome"], "completed"),
        ("protocol errors seen by the phone", call.phone.media.flagged, []),
        ("errors sent by the model", errors, []),
    ]


def _differences(checks: list[Check]) -> list[str]:
    return [f"{what}: {is_}, not {should}" for what, is_, should in checks if is_ != should]


def _turn_lines(call: FinishedCall) -> list[TurnLine]:
    """Return the turns in the order of the record. An unrecognised turn has a match of 0."""
    recognised = {
        "agent": deque(call.recognitions_by_caller),
        "caller": deque(call.recognitions_by_model),
    }
    lines = []
    for turn in call.record["turns"]:
        waiting = recognised[turn["who"]]
        recognition = waiting[0] if waiting else NOTHING_RECOGNISED
        if waiting and not _is_said_again(turn, call.record):
            waiting.popleft()
        match, snr_db = round(recognition.correlation, 3), round(recognition.snr_db, 1)
        lines.append(TurnLine(turn["who"], turn["text"], match, snr_db))
    return lines


def _is_said_again(turn: dict[str, Any], record: dict[str, Any]) -> bool:
    """Return whether the agent was cut off and began anew. The caller hears both as one line."""
    texts = [each["text"] for each in record["turns"] if each["number"] == turn["number"] + 1]
    return turn["interrupted"] and any(text.startswith(turn["text"]) for text in texts)


def _names(recognitions: list[Recognition]) -> list[str | None]:
    return [each.clip.name if each.clip else None for each in recognitions]


def _texts_by(call: FinishedCall, who: str) -> list[str]:
    """Return the recorded texts of one side. An interrupted sentence is recorded up to the
    interruption."""
    turns = [turn for turn in call.record["turns"] if turn["who"] == who]
    return [_whole(turn["text"]) if turn["interrupted"] else turn["text"] for turn in turns]


def _whole(beginning: str) -> str:
    texts = [clip.text for clip in CLIPS.values() if clip.text.startswith(beginning)]
    return texts[0] if len(texts) == 1 else beginning


def _texts_of(clips: list[str]) -> list[str]:
    return [CLIPS[clip].text for clip in clips]
