"""A server that ignores the caller is replaced, and one that has nothing to say is kept."""

import pytest

from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddTimelineEntry,
    AppendAudio,
    BridgeCommand,
    ConnectModel,
    Log,
    UpdateSession,
)
from media_bridge.conversation.server_watch import (
    ANSWER_TIMEOUT_SECONDS,
    NOISE_SECONDS,
    SILENCE_SECONDS,
)
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerSpeechStarted,
    DeadlinePassed,
    ModelConnected,
    ModelReady,
    ResponseStarted,
    SettingsUpdated,
)
from media_bridge.speech.caller_audio import RECENT_AUDIO_SECONDS
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Mute, Side, Update
from tests.support.bridges import FRAME_MS, done, frame, ready_call, said

LOUD, QUIET = 0x22, 0xFF
"""Codes of PCMU."""
QUESTION = UpdateSession(Update())
IS_THERE = SettingsUpdated(CallConfig(), ())
ASKED_SECONDS = SILENCE_SECONDS + 0.5


class Line:
    """A call after its greeting. It is the caller's turn."""

    def __init__(self) -> None:
        self.bridge: Bridge = ready_call().bridge
        self.now = 0.0
        self._chunk = 0
        greeting = (ResponseStarted("resp-1"), said(20), AudioFinished("item-1"), done())
        for event in greeting:
            self.handle(event)
        self.wait(1.0, QUIET)

    def handle(self, event: BridgeEvent) -> list[BridgeCommand]:
        return self.bridge.handle(event, self.now)

    def wait(self, seconds: float, code: int | None) -> list[BridgeCommand]:
        """Let the caller's line send such frames, or none. Return what else is done."""
        commands: list[BridgeCommand] = []
        for _ in range(round(seconds * 1000 / FRAME_MS)):
            self.now += FRAME_MS / 1000
            self._chunk += 1
            deadline = self.bridge.next_deadline()
            if deadline is not None and deadline <= self.now:
                commands += self.handle(DeadlinePassed())
            if code is not None:
                commands += self.handle(frame(self._chunk, code))
        return [each for each in commands if not isinstance(each, AppendAudio)]


def test_a_server_that_ignores_the_caller_is_asked_and_then_replaced() -> None:
    line = Line()
    assert line.wait(ASKED_SECONDS, LOUD) == [QUESTION]
    replaced = line.wait(ANSWER_TIMEOUT_SECONDS, LOUD)
    assert Log("warning", "model session lost", "it ignored the caller") in replaced
    assert [each for each in replaced if isinstance(each, ConnectModel)]


def test_the_next_server_hears_the_last_words_that_were_ignored() -> None:
    line = Line()
    line.wait(ASKED_SECONDS + ANSWER_TIMEOUT_SECONDS, LOUD)
    line.handle(ModelConnected())
    appended = [each for each in line.handle(ModelReady()) if isinstance(each, AppendAudio)]
    heard_ms = sum(len(each.audio) for each in appended) / 8
    assert heard_ms >= RECENT_AUDIO_SECONDS * 1000 - FRAME_MS


def test_a_server_that_answers_is_kept_because_the_line_is_only_noisy() -> None:
    line = Line()
    assert line.wait(ASKED_SECONDS, LOUD) == [QUESTION]
    assert line.handle(IS_THERE) == []
    assert line.wait(NOISE_SECONDS - 1.0, LOUD) == []
    assert line.wait(ANSWER_TIMEOUT_SECONDS + 1.0, LOUD) == [QUESTION]


def test_a_server_that_knows_no_such_question_costs_one_session() -> None:
    line = Line()
    line.wait(ASKED_SECONDS + ANSWER_TIMEOUT_SECONDS, LOUD)
    line.handle(ModelConnected())
    line.handle(ModelReady())
    assert QUESTION not in line.wait(60.0, LOUD)


@pytest.mark.parametrize("code", [QUIET, None])
def test_nobody_is_asked_while_nobody_speaks(code: int | None) -> None:
    assert QUESTION not in Line().wait(60.0, code)


def test_nobody_is_asked_about_a_caller_who_was_heard() -> None:
    line = Line()
    line.wait(SILENCE_SECONDS - 1.0, LOUD)
    line.handle(CallerSpeechStarted("user-1"))
    assert QUESTION not in line.wait(ASKED_SECONDS, LOUD)


def test_nobody_is_asked_about_a_caller_who_is_muted() -> None:
    line = Line()
    line.handle(Mute(Side.CALLER, True))
    assert QUESTION not in line.wait(ASKED_SECONDS, LOUD)


def test_an_answer_stands_in_no_timeline() -> None:
    line = Line()
    line.wait(ASKED_SECONDS, LOUD)
    answered = line.handle(IS_THERE)
    assert not [each for each in answered if isinstance(each, AddTimelineEntry)]
