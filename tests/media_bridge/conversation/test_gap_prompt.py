"""A call that continues on another stream, on which no one speaks."""

from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.gap_prompt import PROMPT, SILENCE_SECONDS, GapPrompt
from media_bridge.deadline import NEVER
from media_bridge.events import CallerSpeechStarted
from phonebridge.call.config import CallConfig
from phonebridge.settings import ModelAudio


def conversation() -> Conversation:
    talk = Conversation(CallConfig(), ModelAudio.G711)
    talk.begin(10.0)
    return talk


def prompt() -> GapPrompt:
    gap = GapPrompt(is_wanted=True)
    gap.begin(10.0)
    return gap


def test_the_agent_speaks_up_once_when_nobody_does() -> None:
    gap, talk = prompt(), conversation()
    assert gap.due_at == 10.0 + SILENCE_SECONDS
    assert gap.check(talk, 10.0 + SILENCE_SECONDS - 0.1) == []
    assert PROMPT in gap.check(talk, 10.0 + SILENCE_SECONDS)
    assert gap.due_at == NEVER


def test_a_caller_who_speaks_is_not_asked() -> None:
    gap, talk = prompt(), conversation()
    talk.handle(CallerSpeechStarted("item-1"), 11.0)
    assert gap.check(talk, 11.1) == []
    assert gap.due_at == NEVER


def test_a_first_stream_is_not_asked_about() -> None:
    gap = GapPrompt(is_wanted=False)
    gap.begin(10.0)
    assert gap.due_at == NEVER
