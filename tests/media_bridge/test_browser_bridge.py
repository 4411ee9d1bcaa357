"""What a browser is shown of its call, as playbooks."""

from dataclasses import replace

import pytest

from media_bridge.audio.codecs import Codec
from media_bridge.browser_bridge import BrowserBridge
from media_bridge.commands import (
    BrowserCommand,
    CallState,
    ConfigureModel,
    EndCall,
    FailCall,
    LeaveStream,
    ShowLatency,
    ShowState,
    ShowTool,
    ShowTranscript,
)
from media_bridge.events import (
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    CallerTranscriptReceived,
    DeadlinePassed,
    LeaveRequested,
    ModelClosed,
    ModelConnected,
    ModelReady,
    ResponseStarted,
    StreamLost,
    StreamStarted,
    StreamStopped,
)
from media_bridge.tool_events import FunctionCalled
from phonebridge.call.call import EndedBy
from phonebridge.call.config import BrowserEvent, CallConfig
from phonebridge.call.events import BrowserCallRequested, MediaAttached
from phonebridge.call.steering import EndCallNow
from phonebridge.call.tools import BuiltIn, Tools
from phonebridge.call.turn import Speaker
from phonebridge.settings import ModelAudio
from tests.support.bridges import done, frame, said, words
from tests.support.calls import after, browser_call

CALL = after(browser_call(), BrowserCallRequested(), MediaAttached(1, "task-1", 1_000))
EVERYTHING = CallConfig(
    events=tuple(BrowserEvent),
    tools=Tools(built_in=(BuiltIn.TAKE_MESSAGE, BuiltIn.END_CALL)),
    greeting="Good morning!",
)
STARTED = StreamStarted("", None, "PCMU", 8000)
BEGINNING = (STARTED, ModelConnected(), ModelReady())


class Shown:
    """A bridge, and what its browser is shown."""

    def __init__(self, config: CallConfig = EVERYTHING) -> None:
        self.bridge = BrowserBridge(CALL, config, ModelAudio.G711, now=0.0)
        self.now = 0.0

    def after(self, *events: BridgeEvent) -> list[object]:
        return [each for event in events for each in self.bridge.handle(event, self.now)]

    def frames(self, *events: BridgeEvent) -> list[object]:
        return [each for each in self.after(*events) if isinstance(each, BrowserCommand)]


def states(shown: list[object]) -> list[CallState]:
    return [each.state for each in shown if isinstance(each, ShowState)]


def test_states_follow_the_conversation() -> None:
    call = Shown(replace(EVERYTHING, greeting=None, events=(BrowserEvent.STATE,)))
    shown = call.frames(STARTED, ModelConnected())
    assert states(shown) == [CallState.CONNECTING]
    shown = call.frames(ModelReady(), ResponseStarted("resp-1"), said(40), done())
    assert states(shown)[-1] is CallState.SPEAKING
    call.now = 10.0
    assert states(call.frames(DeadlinePassed())) == [CallState.LISTENING]
    assert states(call.frames(CallerSpeechStarted("u1"))) == []
    assert states(call.frames(CallerSpeechStopped("u1"))) == [CallState.THINKING]


def test_words_grow_until_they_are_final() -> None:
    call = Shown(replace(EVERYTHING, events=(BrowserEvent.TRANSCRIPT,)))
    call.after(*BEGINNING)
    shown = call.frames(
        CallerSpeechStarted("u1"),
        CallerSpeechStopped("u1"),
        CallerTranscriptReceived("u1", "Are you "),
        CallerTranscriptReceived("u1", "open?"),
        CallerTranscribed("u1", "Are you open?"),
    )
    assert shown == [
        ShowTranscript(Speaker.CALLER, "1-1", "Are you"),
        ShowTranscript(Speaker.CALLER, "1-1", "Are you open?"),
        ShowTranscript(Speaker.CALLER, "1-1", "Are you open?", is_final=True),
    ]


def test_words_that_come_before_their_sound_are_shown_with_it() -> None:
    call = Shown(replace(EVERYTHING, events=(BrowserEvent.TRANSCRIPT,)))
    call.after(*BEGINNING)
    assert call.frames(ResponseStarted("resp-1"), words("We are open")) == []
    assert call.frames(said(400)) == [ShowTranscript(Speaker.AGENT, "1-1", "We are open")]


def test_an_interruption_shows_what_was_not_heard() -> None:
    call = Shown(replace(EVERYTHING, events=(BrowserEvent.TRANSCRIPT,)))
    call.after(*BEGINNING, ResponseStarted("resp-1"), said(4000), words("We are open until six."))
    call.now = 0.1
    final = [
        each
        for each in call.frames(CallerSpeechStarted("u1"))
        if isinstance(each, ShowTranscript) and each.is_final
    ]
    [cut] = final
    assert cut.unheard
    assert f"{cut.text} {cut.unheard}".split() == ["We", "are", "open", "until", "six."]


def test_a_latency_is_shown_once_for_each_answer() -> None:
    call = Shown(replace(EVERYTHING, greeting=None, events=(BrowserEvent.LATENCY,)))
    call.after(*BEGINNING, ResponseStarted("resp-0"), said(20, "item-0", "resp-0"), done("resp-0"))
    call.now = 9.0
    call.after(CallerSpeechStarted("u1"))
    call.now = 10.0
    call.after(CallerSpeechStopped("u1"))
    call.now = 10.25
    shown = call.frames(ResponseStarted("resp-1"), said(400), words("Yes."), said(400))
    assert shown == [ShowLatency(750)], "500 ms of silence, by which the turn's end was seen"


def test_a_tool_is_shown_when_it_is_called_and_when_it_has_an_output() -> None:
    call = Shown(replace(EVERYTHING, events=(BrowserEvent.TOOL,)))
    call.after(*BEGINNING, ResponseStarted("resp-1"))
    called = FunctionCalled("resp-1", "tool-1", "take_message", '{"message":"Call back."}')
    assert call.frames(called, called) == [
        ShowTool("tool-1", "take_message", '{"message":"Call back."}')
    ]
    assert call.frames(done()) == [
        ShowTool("tool-1", "take_message", '{"message":"Call back."}', '{"status":"stored"}')
    ]


def test_nothing_is_shown_that_was_not_asked_for() -> None:
    call = Shown(replace(EVERYTHING, events=()))
    call.after(*BEGINNING)
    called = FunctionCalled("resp-1", "tool-1", "take_message", '{"message":"Call back."}')
    events = (ResponseStarted("resp-1"), said(400), words("Yes."), called, done(), StreamStopped())
    assert call.frames(*events) == []


def test_the_frames_of_the_caller_show_nothing() -> None:
    call = Shown()
    call.after(*BEGINNING)
    assert call.frames(frame(1), frame(2)) == []


# The end.


@pytest.mark.parametrize(
    ("event", "by", "reason"),
    [
        (StreamStopped(), EndedBy.CALLER, "caller_hung_up"),
        (EndCallNow(), None, "ended_by_api"),
    ],
)
def test_the_end_is_shown_before_the_socket_closes(
    event: BridgeEvent, by: EndedBy | None, reason: str
) -> None:
    call = Shown()
    call.after(*BEGINNING, ResponseStarted("resp-1"), said(400), words("Yes."))
    answer = call.after(event)
    end, leave = ShowState(CallState.ENDED, reason), LeaveStream(was_lost=False)
    assert answer.index(end) == answer.index(leave) - 1
    assert [each.by for each in answer if isinstance(each, EndCall)] == ([by] if by else [])
    finals = [each for each in answer if isinstance(each, ShowTranscript) and each.is_final]
    assert finals
    assert answer.index(finals[-1]) < answer.index(end)


def test_a_fault_is_shown_with_its_reason() -> None:
    call = Shown()
    answer = call.after(STARTED, ModelClosed(4000, "quota"))
    [failed] = [each for each in answer if isinstance(each, FailCall)]
    assert answer[answer.index(failed) - 1] == ShowState(CallState.ENDED, failed.reason)


def test_a_lost_socket_is_left_for_the_next_one() -> None:
    call = Shown()
    call.after(*BEGINNING)
    answer = call.after(StreamLost())
    assert LeaveStream(was_lost=True) in answer
    assert not any(isinstance(each, EndCall | ShowState) for each in answer)


def test_a_socket_that_gives_way_to_the_next_one_is_not_told_of_an_end() -> None:
    call = Shown()
    call.after(*BEGINNING)
    assert states(call.after(LeaveRequested())) == []


def test_a_call_begins_with_the_codec_that_was_agreed() -> None:
    call = Shown()
    assert ConfigureModel(Codec.PCMU) in call.after(STARTED, ModelConnected())
    other = Shown().after(replace(STARTED, encoding="L16", sample_rate_hz=16000))
    [failed] = [each for each in other if isinstance(each, FailCall)]
    assert failed.reason == "unsupported_codec"
