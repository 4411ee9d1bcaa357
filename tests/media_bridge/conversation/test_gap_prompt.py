"""A call that continues on another stream, on which no one speaks."""

from dataclasses import replace

import pytest

from media_bridge.bridge import Bridge
from media_bridge.commands import AppendAudio, BridgeCommand, CreateResponse
from media_bridge.conversation.gap_prompt import PROMPT, SILENCE_SECONDS
from media_bridge.conversation.history import History, history_of
from media_bridge.events import BridgeEvent, CallerSpeechStarted, ModelConnected, ModelReady
from phonebridge.call.config import CallConfig
from phonebridge.call.resume import Resume
from phonebridge.call.turn import Speaker, Turn
from phonebridge.settings import ModelAudio
from tests.support.bridges import CALL, STARTED
from tests.support.playbook import pass_time

QUESTION = Turn(number=1, who=Speaker.CALLER, text="When?", started_ms=0, ended_ms=900)
ANSWER = Turn(number=2, who=Speaker.AGENT, text="At nine.", started_ms=1_500, ended_ms=2_500)
READY_AT = 2.0
STARTS: dict[str, list[tuple[float, BridgeEvent]]] = {
    "the phone first": [(0.0, STARTED), (1.0, ModelConnected()), (READY_AT, ModelReady())],
    "the model first": [(0.0, ModelConnected()), (1.0, STARTED), (READY_AT, ModelReady())],
}


class Story:
    def __init__(self, history: History | None) -> None:
        call = replace(CALL, attached_stream=2 if history else 1)
        self.bridge = Bridge(call, CallConfig(), ModelAudio.G711, 0.0, history=history)
        self.now = 0.0
        self.asked: list[tuple[float, CreateResponse]] = []

    def play(self, events: list[tuple[float, BridgeEvent]], until: float = 60.0) -> None:
        for at, event in events:
            self._wait(at)
            self._note(at, self.bridge.handle(event, at))
        self._wait(until)

    def _wait(self, until: float) -> None:
        for at, command in pass_time(self.bridge, self.now, until):
            self._note(at, [command])
        self.now = until

    def _note(self, at: float, commands: list[BridgeCommand]) -> None:
        spoken = [each for each in commands if not isinstance(each, AppendAudio)]
        self.asked += [(at, each) for each in spoken if isinstance(each, CreateResponse)]

    @property
    def prompted_at(self) -> list[float]:
        return [at for at, request in self.asked if request.instructions == PROMPT.instructions]


@pytest.mark.parametrize("order", STARTS)
def test_the_agent_speaks_up_when_nobody_does(order: str) -> None:
    story = Story(history_of((QUESTION, ANSWER), Resume()))
    story.play(STARTS[order], until=READY_AT + SILENCE_SECONDS)
    assert story.prompted_at == [pytest.approx(READY_AT + SILENCE_SECONDS)]


def test_a_caller_who_speaks_is_not_asked() -> None:
    story = Story(history_of((QUESTION, ANSWER), Resume()))
    speech = (READY_AT + 0.5, CallerSpeechStarted("user-2"))
    story.play([*STARTS["the phone first"], speech], until=READY_AT + SILENCE_SECONDS)
    assert story.prompted_at == []


def test_a_caller_who_waits_for_a_reply_gets_it_instead() -> None:
    story = Story(history_of((QUESTION,), Resume()))
    story.play(STARTS["the phone first"], until=READY_AT + SILENCE_SECONDS)
    assert [at for at, _ in story.asked] == [READY_AT]
    assert story.prompted_at == []


def test_a_first_stream_is_not_asked_about() -> None:
    story = Story(None)
    story.play(STARTS["the phone first"])
    assert story.prompted_at == []
