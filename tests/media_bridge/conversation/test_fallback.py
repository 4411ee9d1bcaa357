"""What happens to a caller when no model can carry the call on."""

import pytest

from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddTimelineEntry,
    BridgeCommand,
    ClipKind,
    EndCall,
    FailCall,
    LeaveStream,
    SpeakByCarrier,
    TransferCall,
)
from media_bridge.events import (
    CarrierSpoke,
    HangUpRequested,
    ModelClosed,
    StreamLost,
    StreamStopped,
)
from media_bridge.speech.clip_words import WORDS, apology_in, instructions_for
from media_bridge.speech.clips import SpeechClip, SpeechClips
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig, Fallback
from phonebridge.call.machine_detection import MachineDetection, OnMachine
from phonebridge.call.steering import MachineAnswered, Say, TransferFinished
from phonebridge.settings import ModelAudio
from tests.support.bridges import CALL, RINGING, STARTED, frame, play, ready_call, sound
from tests.support.playbook import At, Playbook, pass_time

COLLEAGUE = "+15550142"
WHY = "model_lost: the model's server closed with 3000"
FAILED = FailCall("model_lost", "the model's server closed with 3000")
CLOSED = ModelClosed(3000, "")
TO_COLLEAGUE = Fallback(transfer_to=COLLEAGUE)
APOLOGY = SpeechClip("I am sorry.", sound(100, 0x44))


def talking(fallback: Fallback | None, apology: SpeechClip | None = None) -> Playbook:
    return ready_call(config=CallConfig(fallback=fallback), clips=SpeechClips(None, apology))


def transferring() -> Playbook:
    story = talking(TO_COLLEAGUE)
    assert (
        story
        >> CLOSED
        << AddTimelineEntry("fallback", f"transfer to {COLLEAGUE}: {WHY}")
        << TransferCall(COLLEAGUE)
    )
    return story


def test_a_call_without_a_fallback_ends() -> None:
    assert talking(None) >> CLOSED << FAILED


def test_the_caller_is_connected_with_the_number_of_the_fallback() -> None:
    assert transferring() >> TransferFinished(None) << LeaveStream(was_lost=False)


def test_the_caller_hears_the_apology_before() -> None:
    story = talking(TO_COLLEAGUE, APOLOGY)
    assert story >> CLOSED << play(100, 0x44)
    commands = [each for _, each in pass_time(story.bridge, 0.0, 2.0)]
    assert TransferCall(COLLEAGUE) in commands
    assert FAILED not in commands


def test_nothing_else_is_tried_for_a_caller_who_hangs_up_during_the_apology() -> None:
    story = talking(TO_COLLEAGUE, APOLOGY)
    assert story >> CLOSED << play(100, 0x44)
    commands = story.bridge.handle(StreamStopped(), story.now)
    assert commands[-1] == FAILED
    assert not [each for each in commands if isinstance(each, TransferCall)]


def test_after_a_transfer_that_fails_the_carrier_speaks_and_the_call_ends() -> None:
    assert (
        transferring()
        >> TransferFinished("busy")
        << AddTimelineEntry("fallback failed", "busy")
        << SpeakByCarrier(WORDS[ClipKind.APOLOGY]["en"])
        >> StreamStopped()
        >> StreamLost()
        >> CarrierSpoke()
        << FAILED
    )


def test_a_transfer_of_which_nothing_is_heard_is_not_waited_for_for_ever() -> None:
    story = transferring()
    assert story >> At(50.0) >> frame(1) >> At(59.9)
    spoken = SpeakByCarrier(apology_in("en"))
    late = AddTimelineEntry("fallback failed", "it took too long")
    assert story >> At(60.0) << late << spoken >> CarrierSpoke() << FAILED


def test_a_carrier_that_does_not_say_when_it_has_spoken_is_not_waited_for_for_ever() -> None:
    story = talking(Fallback(say="Please call us back."))
    assert (
        story
        >> CLOSED
        << AddTimelineEntry("fallback", f"say: {WHY}")
        << SpeakByCarrier("Please call us back.")
        >> At(11.9)
        >> At(12.0)
        << FAILED
    )


def test_words_that_were_heard_from_a_clip_are_not_spoken_again() -> None:
    story = talking(Fallback(say="Please call us back."), APOLOGY)
    assert story >> CLOSED << play(100, 0x44)
    commands = [each for _, each in pass_time(story.bridge, 0.0, 2.0)]
    assert not [each for each in commands if isinstance(each, SpeakByCarrier)]
    assert commands[-1] == FAILED


def test_the_model_is_asked_for_nothing_more() -> None:
    story = transferring()
    assert story >> Say(words="Hi.", instruction=None)


def test_a_call_that_is_to_end_meanwhile_ends() -> None:
    assert transferring() >> HangUpRequested(EndedBy.API) << EndCall(EndedBy.API)


def test_a_caller_who_hangs_up_meanwhile_is_gone() -> None:
    assert transferring() >> StreamStopped() << LeaveStream(was_lost=False)


def test_a_phone_that_rings_is_connected_with_nobody() -> None:
    config = CallConfig(fallback=TO_COLLEAGUE)
    bridge = Bridge(RINGING, config, ModelAudio.G711, 0.0)
    assert not _transfers(bridge.handle(CLOSED, 0.0))


def test_a_machine_is_connected_with_nobody() -> None:
    on_machine = MachineDetection(OnMachine.LEAVE_MESSAGE, "Call us back.")
    config = CallConfig(fallback=TO_COLLEAGUE, machine_detection=on_machine)
    bridge = Bridge(CALL, config, ModelAudio.G711, 0.0)
    bridge.handle(STARTED, 0.0)
    bridge.handle(MachineAnswered(greeting_over=False), 0.0)
    assert not _transfers(bridge.handle(CLOSED, 0.0))


def _transfers(commands: list[BridgeCommand]) -> list[BridgeCommand]:
    return [each for each in commands if isinstance(each, TransferCall)]


@pytest.mark.parametrize(("language", "words"), [("de-AT", "de"), ("ja", "en"), (None, "en")])
def test_the_carrier_speaks_the_language_of_the_call_if_we_have_words_in_it(
    language: str | None, words: str
) -> None:
    assert apology_in(language) == WORDS[ClipKind.APOLOGY][words]


def test_the_clip_of_the_apology_has_the_words_of_the_fallback() -> None:
    config = CallConfig(fallback=Fallback(say="Please call us back."))
    assert "Please call us back." in instructions_for(ClipKind.APOLOGY, config)
    assert "Please call us back." not in instructions_for(ClipKind.FILLER, config)
    assert instructions_for(ClipKind.APOLOGY, CallConfig()).endswith(apology_in("en"))
