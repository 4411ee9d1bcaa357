"""A machine answered, and a message is to be left."""

from dataclasses import replace

from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddTimelineEntry,
    AppendAudio,
    CancelResponse,
    ClearPlayback,
    ConfigureModel,
    CreateResponse,
    EndCall,
    RunFunction,
    SendToolOutput,
    TruncateItem,
)
from media_bridge.events import (
    AudioFinished,
    CallerSpeechStarted,
    CallerSpeechStopped,
    DigitPressed,
    ModelConnected,
    ModelReady,
    ResponseStarted,
)
from media_bridge.tool_events import FunctionCalled, FunctionReturned
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.machine_detection import AnsweredBy, Detection, MachineDetection, OnMachine
from phonebridge.call.steering import MachineAnswered
from phonebridge.call.tools import BuiltIn, HttpsFunction, Tools
from phonebridge.settings import ModelAudio
from tests.support.bridges import (
    CALL,
    STARTED,
    agent_turn,
    done,
    frame,
    play,
    ready_call,
    said,
    say_of,
    silent_call,
    words,
)
from tests.support.playbook import At, Playbook

MESSAGE = CreateResponse(exact_text="Please call us back.")
CONFIG = CallConfig(
    machine_detection=MachineDetection(OnMachine.LEAVE_MESSAGE, "Please call us back."),
    idle_timeout_seconds=5,
)
LEFT = EndCall(EndedBy.MESSAGE_LEFT)


def greeting_a_machine() -> Playbook:
    """Amid a greeting that was made for humans."""
    story = ready_call(config=CONFIG)
    assert (
        story
        >> ResponseStarted("resp-1")
        >> words("Good morning ")
        >> said(200)
        << play(100)
        << play(100)
        >> At(0.1)
    )
    return story


def test_the_greeting_is_cut_and_the_message_said_after_the_machines_own() -> None:
    story = greeting_a_machine()
    assert (
        story
        >> MachineAnswered(greeting_over=False)
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 100)
        << agent_turn(1, "", 0, 100, interrupted=True, unheard="Good morning")
        >> done(status="cancelled")
        >> frame(1)
        >> At(20.0)
        >> MachineAnswered(greeting_over=True)
        << MESSAGE
        >> MachineAnswered(greeting_over=True)
        >> ResponseStarted("resp-2")
        >> words("Please call us back.", "item-2", "resp-2")
        >> said(200, "item-2", "resp-2")
        << play(100)
        << play(100)
        >> done("resp-2")
        >> At(20.1)
        >> frame(2)
        >> At(20.3)
        << agent_turn(2, "Please call us back.", 20_000, 20_200)
        >> At(20.6)
        << LEFT
    )


def test_the_beep_does_not_cut_the_message_short() -> None:
    story = greeting_a_machine()
    story.bridge.handle(CallerSpeechStarted("greeting"), story.now)
    story.bridge.handle(MachineAnswered(greeting_over=True), story.now)
    assert (
        story
        >> done(status="cancelled")
        << MESSAGE
        >> CallerSpeechStopped("greeting")
        >> ResponseStarted("resp-2")
        >> said(100, "item-2", "resp-2")
        << play(100)
        >> CallerSpeechStarted("beep")
        >> At(0.15)
    )


def test_what_the_model_says_to_the_greeting_of_its_own_accord_is_not_said() -> None:
    story = greeting_a_machine()
    story.bridge.handle(MachineAnswered(greeting_over=False), story.now)
    assert (
        story
        >> done(status="cancelled")
        >> ResponseStarted("resp-2")
        << CancelResponse("resp-2")
        >> words("Hello", "item-2", "resp-2")
        >> done("resp-2", "cancelled")
        >> MachineAnswered(greeting_over=True)
        << MESSAGE
    )


def test_a_beep_that_never_comes_is_not_waited_for_for_ever() -> None:
    story = greeting_a_machine()
    story.bridge.handle(MachineAnswered(greeting_over=False), story.now)
    assert story >> done(status="cancelled") >> At(30.0) >> At(30.1) << MESSAGE


def test_a_machine_known_before_the_stream_began_is_never_greeted() -> None:
    machine = Detection(OnMachine.LEAVE_MESSAGE, AnsweredBy.MACHINE, greeting_over=True)
    story = Playbook(Bridge(replace(CALL, detection=machine), CONFIG, ModelAudio.G711, now=0.0))
    assert (
        story
        >> STARTED
        >> frame(1)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << MESSAGE
    )


def test_a_machine_heard_of_before_the_model_is_ready_gets_the_message_when_it_is() -> None:
    story = Playbook(Bridge(CALL, CONFIG, ModelAudio.G711, now=0.0))
    assert (
        story
        >> STARTED
        >> frame(1)
        >> MachineAnswered(greeting_over=True)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> At(2.0)
        >> ModelReady()
        << MESSAGE
    )


def test_without_a_message_the_conversation_goes_on() -> None:
    assert (
        ready_call()
        >> MachineAnswered(greeting_over=True)
        >> frame(1)
        << AppendAudio(frame(1).payload)
    )


def test_a_model_that_does_not_stop_its_greeting_is_not_waited_for_long() -> None:
    story = greeting_a_machine()
    story.bridge.handle(MachineAnswered(greeting_over=True), story.now)
    assert story >> At(5.0) >> At(5.2) << MESSAGE


def test_an_answer_that_a_tool_brings_late_does_not_hold_the_message_up() -> None:
    """The greeting of the machine was taken for a question. No one listens to the answer."""
    look_up = HttpsFunction(name="look_up", url="https://example.com/", filler="One moment.")
    tools = Tools(functions=(look_up,))
    story = ready_call(config=replace(CONFIG, tools=tools))
    assert (
        story
        >> ResponseStarted("resp-1")
        >> FunctionCalled("resp-1", "call-1", "look_up", "{}")
        >> done()
        << RunFunction("call-1", look_up, "{}")
        >> MachineAnswered(greeting_over=False)
        >> At(2.0)
        >> FunctionReturned("call-1", "42", ok=True)
        << SendToolOutput("call-1", "42")
        << AddTimelineEntry("tool", "look_up: ok after 2000 ms")
        >> MachineAnswered(greeting_over=True)
        << MESSAGE
        >> ResponseStarted("resp-2")
        >> said(100, response="resp-2")
        << play(100)
        >> done("resp-2")
        >> At(2.1)
        << agent_turn(1, "", 2000, 2100)
        >> At(2.4)
        << LEFT
    )


def test_an_agent_that_was_about_to_hang_up_on_a_machine_leaves_the_message_first() -> None:
    story = ready_call(config=replace(CONFIG, tools=Tools(built_in=(BuiltIn.END_CALL,))))
    assert (
        story
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> FunctionCalled("resp-1", "call-1", "end_call", "{}")
        >> AudioFinished("item-1")
        >> done()
        << SendToolOutput("call-1", '{"status":"done as soon as the caller has heard you"}')
        << AddTimelineEntry("tool", "end_call: ok")
        >> At(0.2)
        << agent_turn(1, "", 0, 100)
        >> MachineAnswered(greeting_over=False)
        >> At(5.0)
        >> MachineAnswered(greeting_over=True)
        << MESSAGE
    )


def test_a_key_that_a_machine_seems_to_press_is_nobodys() -> None:
    story = silent_call(config=CONFIG)
    assert (
        story
        >> MachineAnswered(greeting_over=False)
        >> DigitPressed("1")
        >> At(3.0)
        >> MachineAnswered(greeting_over=True)
        << MESSAGE
    )


def test_what_the_agent_was_told_to_say_meanwhile_is_said_with_the_message() -> None:
    order = CreateResponse(exact_text="This is about your order.")
    story = silent_call(config=CONFIG)
    assert (
        story
        >> MachineAnswered(greeting_over=False)
        >> say_of(order)
        >> MachineAnswered(greeting_over=True)
        << order
        >> ResponseStarted("resp-2")
        >> said(100, response="resp-2")
        << play(100)
        >> done("resp-2")
        << MESSAGE
        >> ResponseStarted("resp-3")
        >> said(100, item="item-2", response="resp-3")
        << play(100)
        >> done("resp-3")
        >> At(0.25)
        << agent_turn(1, "", 0, 100)
        << agent_turn(2, "", 0, 200)
        >> At(0.5)
        << LEFT
    )
