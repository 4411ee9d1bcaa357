"""What is stored so that another task can go on with a call."""

from media_bridge.commands import BridgeCommand, SaveResume
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    ResponseStarted,
    StreamLost,
)
from media_bridge.tool_events import FunctionCalled, FunctionReturned
from phonebridge.call.config import CallConfig
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.steering import Mute, Side
from phonebridge.call.tools import HttpsFunction, Tools
from tests.support.bridges import done, ready_call, said, words
from tests.support.playbook import Playbook, pass_time

ORDER = HttpsFunction(name="order", url="https://example.com/order")


def saved_states(story: Playbook, *events: BridgeEvent) -> list[Resume]:
    """What the bridge stores when these events happen."""
    commands: list[BridgeCommand] = []
    for event in events:
        commands += story.bridge.handle(event, story.now)
    return [each.resume for each in commands if isinstance(each, SaveResume)]


def test_turns_alone_store_nothing_because_they_are_on_record() -> None:
    story = ready_call()
    assert not saved_states(
        story,
        ResponseStarted("resp-1"),
        words("Hello!"),
        said(100),
        AudioFinished("item-1"),
        done(),
        CallerSpeechStarted("user-1"),
        CallerSpeechStopped("user-1"),
        CallerTranscribed("user-1", "Soup, please."),
        ResponseStarted("resp-2"),
        said(100, "item-2", "resp-2"),
        done("resp-2"),
    )


def test_a_tool_call_is_stored_when_it_begins_and_with_its_output() -> None:
    story = ready_call(config=CallConfig(tools=Tools(functions=(ORDER,))))
    called = FunctionCalled("resp-1", "call-1", "order", "{}")
    running = PastToolCall("call-1", "order", "{}", None, 0)
    assert saved_states(story, ResponseStarted("resp-1"), called, done()) == [Resume((running,))]
    ended = PastToolCall("call-1", "order", "{}", "sold out", 0)
    [resume] = saved_states(story, FunctionReturned("call-1", "sold out", False))
    assert resume == Resume((ended,), is_reply_owed=True)
    answer = (ResponseStarted("resp-2"), said(100, "item-2", "resp-2"), done("resp-2"))
    assert saved_states(story, *answer) == [Resume((ended,))], "the reply is owed no more"


def test_each_change_of_the_muted_sides_is_stored_once() -> None:
    story = ready_call()
    saved_states(story, ResponseStarted("resp-1"), said(100), done())
    agent, caller = Mute(Side.AGENT, True), Mute(Side.CALLER, True)
    assert saved_states(story, agent, agent) == [Resume(is_muted=True)]
    assert saved_states(story, caller) == [Resume(is_muted=True, is_caller_muted=True)]


def test_a_reply_that_the_loss_of_the_stream_cuts_off_is_stored() -> None:
    story = ready_call()
    saved_states(story, ResponseStarted("resp-1"), words("One two three four"), said(2000))
    assert list(pass_time(story.bridge, 0.0, 1.0))
    story.now = 1.0
    [resume] = saved_states(story, StreamLost())
    assert resume.cut_off_words.startswith("One")
