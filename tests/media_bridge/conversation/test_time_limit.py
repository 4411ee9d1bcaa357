"""The longest duration of a call."""

from media_bridge.commands import (
    AddTimelineEntry,
    AppendAudio,
    CancelResponse,
    ConnectModel,
    CreateResponse,
    EndCall,
    LeaveStream,
    Log,
)
from media_bridge.conversation.time_limit import GOODBYE, WARNING
from media_bridge.events import ResponseStarted
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Interrupt, Mute, Side
from tests.support.bridges import agent_turn, done, frame, play, said, silent_call
from tests.support.playbook import At

LAST_WORDS = CreateResponse(instructions=GOODBYE.instructions)
END = EndCall(EndedBy.MAX_DURATION)


def test_the_longest_call_is_hung_up_then_left() -> None:
    story = silent_call(config=CallConfig(max_duration_seconds=30))
    assert (
        story
        >> At(29.9)
        >> At(30.0)
        << LAST_WORDS
        >> ResponseStarted("resp-2")
        >> said(100, "item-2", "resp-2")
        << play(100)
        >> done("resp-2")
        >> At(30.1)
        << agent_turn(1, "", 30_000, 30_100)
        >> At(30.5)
        << END
        >> At(35.3)
        >> At(35.5)
        << LeaveStream(was_lost=False)
    )
    assert story.bridge.next_deadline() is None


def test_a_caller_is_warned_half_a_minute_before() -> None:
    assert (
        silent_call(config=CallConfig(max_duration_seconds=60))
        >> At(29.9)
        >> At(30.0)
        << WARNING
        >> frame(1)
        << AppendAudio(frame(1).payload)
        >> ResponseStarted("resp-2")
        >> Interrupt()
        << CancelResponse("resp-2")
        >> done("resp-2", "cancelled")
        >> At(60.0)
        << LAST_WORDS
    )


def test_deadlines_that_come_together_leave_in_peace() -> None:
    why = "last words: no response began within 15 s"
    story = silent_call(config=CallConfig(max_duration_seconds=30))
    assert story >> At(29.25) >> frame(1) << AppendAudio(frame(1).payload)
    assert (
        story
        >> At(30.0)
        << LAST_WORDS
        >> At(49.9)
        << Log("warning", "model gave no reply", why)
        << AddTimelineEntry("no reply", f"{why}; asked again in a new session")
        << Log("warning", "model session lost", "it sent no event")
        << ConnectModel(CallConfig(max_duration_seconds=30))
        >> At(50.0)
        << END
        >> At(55.0)
        << AddTimelineEntry("not spoken", "last words: the call ended first")
        << LeaveStream(was_lost=False)
    )


def test_a_muted_agent_says_goodbye_too() -> None:
    story = silent_call(config=CallConfig(max_duration_seconds=30))
    assert story >> Mute(Side.AGENT, True) >> At(29.9) >> At(30.0) << LAST_WORDS
