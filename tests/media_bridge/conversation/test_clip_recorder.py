"""Clips are recorded beside a conversation, which goes on as if nothing were."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    BridgeCommand,
    CancelResponse,
    ClearPlayback,
    ClipKind,
    ConfigureModel,
    CreateResponse,
    DisableClips,
    KeepClip,
    Log,
    RecordClip,
    RecordStart,
    Role,
    TruncateItem,
)
from media_bridge.conversation.clip_recorder import (
    MAX_CLIP_MS,
    PAUSE_SECONDS,
    TIMEOUT_SECONDS,
    UNLABELLED_SECONDS,
)
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    ModelConnected,
    ModelErrorReceived,
    ModelReady,
    ResponseStarted,
)
from media_bridge.runtime.speech_cache import FoundClips, SpeechCache
from media_bridge.speech.clip_words import instructions_of
from media_bridge.speech.clips import SpeechClips
from media_bridge.tool_events import FunctionCalled
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.turn import Speaker
from phonebridge.call.usage import Usage
from phonebridge.settings import ModelAudio
from simulators.audio.g711 import MU_LAW
from simulators.audio.speech import CLIPS, recognise
from simulators.openai.faults import ModelFaults
from simulators.openai.session import SimulatedSession
from tests.support.bridges import (
    CALL,
    PREPARED,
    RINGING,
    STARTED,
    agent_turn,
    done,
    make_ready,
    play,
    said,
    say_of,
    sound,
    words,
)
from tests.support.clock import Clock
from tests.support.media_plane import StartsPlane
from tests.support.playbook import At, Playbook
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BOTH = (ClipKind.FILLER, ClipKind.APOLOGY)
FILLER = RecordClip(ClipKind.FILLER, instructions_of(ClipKind.FILLER, None))
APOLOGY = RecordClip(ClipKind.APOLOGY, instructions_of(ClipKind.APOLOGY, None))
CLIP_STARTED = ResponseStarted("resp-c", "filler", is_in_conversation=False)
HEARD = agent_turn(1, "Hello.", 0, 100)
ASKED_AT = 0.1 + PAUSE_SECONDS


def of_clip(ms: int, item: str = "item-c", response: str = "resp-c") -> BridgeEvent:
    return said(ms, item, response, code=0x55)


def clip_words(text: str) -> BridgeEvent:
    return words(text, "item-c", "resp-c")


def call_without_clips(
    missing: tuple[ClipKind, ...] = BOTH, config: CallConfig | None = None, call: Call = CALL
) -> Playbook:
    bridge = Bridge(call, config or CallConfig(), ModelAudio.G711, 0.0, missing_clips=missing)
    return Playbook(bridge)


def greeted_call(missing: tuple[ClipKind, ...] = BOTH) -> Playbook:
    """The agent has spoken, the caller is silent, and the first missing clip has just been
    requested."""
    story = make_ready(call_without_clips(missing))
    assert (
        story
        >> ResponseStarted("resp-1")
        >> words("Hello.")
        >> said(100)
        << play(100)
        >> done()
        >> At(ASKED_AT - 0.001)
        << HEARD
        >> At(ASKED_AT)
        << FILLER
    )
    return story


def test_a_clip_is_recorded_when_it_is_the_callers_turn_and_then_the_next_one() -> None:
    story = greeted_call()
    spent = Usage(output_audio=30, responses=1)
    assert (
        story
        >> CLIP_STARTED
        >> clip_words("One ")
        >> of_clip(300)
        >> of_clip(200)
        >> clip_words("moment.")
        >> AudioFinished("item-c")
        >> done("resp-c", usage=spent)
        << KeepClip(ClipKind.FILLER, "One moment.", sound(500, 0x55))
        << APOLOGY
        >> ResponseStarted("resp-d", "apology", is_in_conversation=False)
        >> of_clip(100, "item-d", "resp-d")
        >> words("Sorry.", "item-d", "resp-d")
        >> done("resp-d", usage=spent)
        << KeepClip(ClipKind.APOLOGY, "Sorry.", sound(100, 0x55))
        >> At(50.0)
    )
    assert story.bridge.usage == spent + spent, "it is paid for"
    assert story.bridge.activity.turns == 1


def test_a_call_that_lacks_none_records_none() -> None:
    story = call_without_clips(())
    for event in (STARTED, ModelConnected(), ModelReady(), ResponseStarted("resp-1"), said(100)):
        story.bridge.handle(event, 0.0)
    assert story >> done() >> At(30.0) << agent_turn(1, "", 0, 100)


def test_the_caller_may_speak_and_is_answered_meanwhile() -> None:
    story = greeted_call((ClipKind.FILLER,))
    assert (
        story
        >> CLIP_STARTED
        >> of_clip(100)
        >> CallerSpeechStarted("item-2")
        >> CallerSpeechStopped("item-2")
        >> ResponseStarted("resp-3")
        >> of_clip(100)
        >> said(60, "item-3", "resp-3")
        << play(60)
        >> clip_words("One moment.")
        >> done("resp-c")
        << KeepClip(ClipKind.FILLER, "One moment.", sound(200, 0x55))
    )


# Servers that do otherwise.


@pytest.mark.parametrize(
    ("started", "how"),
    [
        (ResponseStarted("resp-c"), "without their metadata"),
        (ResponseStarted("resp-c", "filler", is_in_conversation=True), "in the conversation"),
    ],
)
def test_a_server_that_does_not_know_such_responses_is_never_asked_again(
    started: ResponseStarted, how: str
) -> None:
    reason = f"the server answered out-of-band requests {how}"
    assert (
        greeted_call()
        >> started
        << CancelResponse("resp-c")
        << DisableClips(reason)
        << Log("warning", "clip not recorded", f"filler: {reason}")
        >> of_clip(500)
        >> clip_words("One moment.")
        >> AudioFinished("item-c")
        >> FunctionCalled("resp-c", "call-1", "end_call", "{}")
        >> done("resp-c", "cancelled")
        >> At(30.0)
        >> ResponseStarted("resp-3")
        >> said(60, "item-3", "resp-3")
        << play(60)
    )


def test_the_answer_to_a_caller_is_not_taken_for_a_clip() -> None:
    assert (
        greeted_call()
        >> CallerSpeechStarted("item-2")
        >> CallerSpeechStopped("item-2")
        >> ResponseStarted("resp-3")
        >> said(60, "item-3", "resp-3")
        << play(60)
    )


def test_requested_words_are_not_taken_for_a_clip() -> None:
    request = CreateResponse(exact_text="Are you there?")
    assert (
        greeted_call()
        >> say_of(request)
        << request
        >> ResponseStarted("resp-3")
        >> said(60, "item-3", "resp-3")
        << play(60)
    )


def test_nothing_is_recorded_while_the_answer_to_the_caller_is_on_its_way() -> None:
    """The end of what was interrupted may come after the caller's turn, and before its answer."""
    assert (
        make_ready(call_without_clips())
        >> ResponseStarted("resp-1")
        >> said(100)
        << play(100)
        >> CallerSpeechStarted("item-2")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 0)
        << agent_turn(1, "", 0, 0, interrupted=True)
        >> CallerSpeechStopped("item-2")
        >> done("resp-1", "cancelled")
        >> At(0.9)
        >> ResponseStarted("resp-3")
        >> said(60, "item-3", "resp-3")
        << play(60)
    )


def test_nothing_is_recorded_where_the_server_speaks_up_by_itself() -> None:
    detection = TurnDetection(idle_timeout_ms=5_000)
    story = call_without_clips(config=CallConfig(turn_detection=detection))
    for event in (STARTED, ModelConnected(), ModelReady(), ResponseStarted("resp-1"), said(100)):
        story.bridge.handle(event, 0.0)
    assert story >> done() >> At(30.0) << agent_turn(1, "", 0, 100)


def test_a_late_response_is_not_taken_for_a_clip() -> None:
    assert (
        greeted_call()
        >> At(ASKED_AT + UNLABELLED_SECONDS)
        >> ResponseStarted("resp-3")
        >> said(60, "item-3", "resp-3")
        << play(60)
    )


def test_a_caller_who_goes_on_at_once_is_not_disturbed() -> None:
    story = call_without_clips()
    for event in (STARTED, ModelConnected(), ModelReady(), ResponseStarted("resp-1")):
        story.bridge.handle(event, 0.0)
    assert (
        story
        >> words("Hello.")
        >> said(100)
        << play(100)
        >> done()
        >> At(ASKED_AT - 0.001)
        << HEARD
        >> CallerSpeechStarted("item-2")
        >> At(5.0)
    )


def test_a_refused_request_is_given_up() -> None:
    assert (
        greeted_call((ClipKind.FILLER,))
        >> ModelErrorReceived("unknown_parameter", "response.input", "clip-filler")
        << Log("warning", "clip not recorded", "filler: unknown_parameter: response.input")
        >> At(30.0)
    )


def test_other_errors_are_not_about_it() -> None:
    assert (
        greeted_call((ClipKind.FILLER,))
        >> ModelErrorReceived("server_error", "The server had an error.")
        << Log("warning", "model error", "server_error: The server had an error.")
        >> CLIP_STARTED
        >> of_clip(100)
        >> clip_words("One moment.")
        >> done("resp-c")
        << KeepClip(ClipKind.FILLER, "One moment.", sound(100, 0x55))
    )


# Recordings that fail.


@pytest.mark.parametrize("status", ["failed", "cancelled", "incomplete"])
def test_a_clip_that_did_not_come_whole_is_left_to_another_call(status: str) -> None:
    assert (
        greeted_call()
        >> CLIP_STARTED
        >> of_clip(100)
        >> clip_words("One")
        >> done("resp-c", status, "why")
        << Log("warning", "clip not recorded", f"filler: {status} why")
        << APOLOGY
    )


@pytest.mark.parametrize(
    "instead",
    [
        (),
        (of_clip(100),),
        (clip_words("One moment."),),
        (clip_words("One moment."), of_clip(100), of_clip(100, "item-d")),
    ],
)
def test_a_model_that_says_other_words_is_not_asked_again(instead: tuple[BridgeEvent, ...]) -> None:
    story = greeted_call() >> CLIP_STARTED
    for event in instead:
        story >>= event
    reason = "it is not one spoken item with its words"
    assert (
        story
        >> done("resp-c")
        << DisableClips(reason)
        << Log("warning", "clip not recorded", f"filler: {reason}")
        >> At(30.0)
    )


def test_a_clip_without_end_is_cut_off() -> None:
    assert (
        greeted_call()
        >> CLIP_STARTED
        >> of_clip(MAX_CLIP_MS)
        >> of_clip(20)
        << CancelResponse("resp-c")
        << DisableClips("it is too long")
        << Log("warning", "clip not recorded", "filler: it is too long")
        >> of_clip(100)
        >> done("resp-c", "cancelled")
    )


def test_a_request_that_is_never_answered_is_given_up() -> None:
    assert (
        greeted_call()
        >> At(ASKED_AT + TIMEOUT_SECONDS)
        << Log("warning", "clip not recorded", "filler: it took too long")
        >> At(50.0)
        >> CLIP_STARTED
        << CancelResponse("resp-c")
        >> of_clip(100)
        >> done("resp-c", "cancelled")
    )


def test_a_clip_that_stalls_is_given_up() -> None:
    assert (
        greeted_call()
        >> CLIP_STARTED
        >> of_clip(100)
        >> At(ASKED_AT + TIMEOUT_SECONDS)
        << CancelResponse("resp-c")
        << Log("warning", "clip not recorded", "filler: it took too long")
        >> of_clip(100)
    )


# When nothing is recorded.


def test_nothing_is_recorded_while_the_phone_rings() -> None:
    assert (
        call_without_clips(config=PREPARED, call=RINGING)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << CreateResponse(PREPARED.greeting, allow_tools=False)
        >> ResponseStarted("resp-1")
        >> said(100)
        >> done(status="incomplete")
        << Log("warning", "model reply cut short", "incomplete")
        << AddTimelineEntry("reply cut short", "incomplete")
        >> At(20.0)
        >> STARTED
        << RecordStart()
        << play(100)
        >> At(20.2)
        << agent_turn(1, "", 0, 100)
        >> At(20.0 + ASKED_AT)
        << FILLER
    )


def test_after_a_kept_greeting_it_waits_for_the_model() -> None:
    kept = CachedGreeting("Hello.", sound(100))
    bridge = Bridge(CALL, PREPARED, ModelAudio.G711, 0.0, kept, missing_clips=BOTH)
    assert (
        Playbook(bridge)
        >> STARTED
        << play(100)
        >> At(2.0)
        << HEARD
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << AddMessage(Role.ASSISTANT, "Hello.")
        << FILLER
    )


# The law: a conversation is the same with a clip beside it.

TALK: tuple[BridgeEvent, ...] = (
    CallerSpeechStarted("item-2"),
    CallerSpeechStopped("item-2"),
    CallerTranscribed("item-2", "Hello?"),
    ResponseStarted("resp-3"),
    said(60, "item-3", "resp-3"),
    words("Good morning.", "item-3", "resp-3"),
    said(500, "item-3", "resp-3"),
    CallerSpeechStarted("item-4"),
    done("resp-3", "cancelled"),
    CallerSpeechStopped("item-4"),
    ResponseStarted("resp-5"),
    said(300, "item-5", "resp-5"),
    AudioFinished("item-5"),
    done("resp-5"),
)
RECORDING: tuple[BridgeEvent, ...] = (
    CLIP_STARTED,
    of_clip(100),
    clip_words("One moment."),
    of_clip(400),
    AudioFinished("item-c"),
    done("resp-c", usage=Usage(output_audio=30, responses=1)),
)


def perform(story: Playbook, told: list[BridgeEvent]) -> list[BridgeCommand]:
    commands = []
    for event in told:
        commands += story._play(event)
        if event in TALK:
            commands += story._play(At(story.now + 0.1))
    return [*commands, *story._play(At(story.now + 5.0))]


@given(st.permutations([True] * len(TALK) + [False] * len(RECORDING)))
def test_a_conversation_is_the_same_with_a_clip_beside_it(is_talk: list[bool]) -> None:
    conversation, recording = iter(TALK), iter(RECORDING)
    told = [next(conversation) if each else next(recording) for each in is_talk]
    with_clip, without = greeted_call((ClipKind.FILLER,)), greeted_call((ClipKind.FILLER,))
    kept = KeepClip(ClipKind.FILLER, "One moment.", sound(500, 0x55))
    commands = perform(with_clip, told)
    assert commands.count(kept) == 1
    assert [each for each in commands if each != kept] == perform(without, list(TALK))
    assert with_clip.bridge.activity == without.bridge.activity


# The whole path, on real sockets.

BRIEF = CallConfig(greeting=CLIPS["agent_fallback"].text)


def requests_for_clips(session: SimulatedSession) -> list[str]:
    created = [each for each in session.received if each["type"] == "response.create"]
    labels = [each.get("response", {}).get("metadata") for each in created]
    return [label["phonebridge_clip"] for label in labels if label]


@pytest.mark.parametrize("model_audio", ModelAudio)
async def test_the_first_call_with_a_voice_records_its_clips_for_those_to_come(
    start_plane: StartsPlane, model_audio: ModelAudio, client: "DynamoDBClient", clock: Clock
) -> None:
    def clips() -> SpeechClips | None:
        """Return the clips that another process finds."""
        services = plane.services
        cache = SpeechCache(services.settings, services.model, client, clock)
        found = cache.find_clips(BRIEF)
        return None if found.missing else found.clips

    async with start_plane(model_audio=model_audio) as plane:
        phone = await plane.streaming(BRIEF)
        known = await until(clips)
        assert known is not None
        for clip, name in ((known.filler, "agent_filler"), (known.apology, "agent_apology")):
            assert clip is not None
            assert clip.words == CLIPS[name].text
            assert recognise(MU_LAW.decode(clip.sound)).clip is CLIPS[name]
        second = await plane.streaming(BRIEF)
        await second.hear()
        first_model, second_model = [await plane.session(p.call) for p in (phone, second)]
        assert requests_for_clips(first_model) == ["filler", "apology"]
        assert requests_for_clips(second_model) == []
        assert [said.clip for said in first_model.said[:1]] == [CLIPS["agent_fallback"]]
    record = plane.record(phone.call)
    assert record.usage.responses >= 3, "the greeting and both clips are paid for"
    spoken = [turn.text for turn in record.turns if turn.who is Speaker.AGENT]
    assert spoken[0] == BRIEF.greeting
    assert not set(spoken) & {clip.words for clip in (known.filler, known.apology) if clip}


@pytest.mark.parametrize(
    "faults", [ModelFaults(ignores_metadata=True), ModelFaults(ignores_out_of_band=True)]
)
async def test_a_server_without_out_of_band_responses_is_asked_once_and_the_call_goes_on(
    start_plane: StartsPlane, faults: ModelFaults, clock: Clock
) -> None:
    async with start_plane(faults=faults) as plane:
        phone = await plane.streaming(BRIEF)
        model = await plane.session(phone.call)
        await until(lambda: "response.cancel" in [each["type"] for each in model.received])
        await plane.converse(phone)
        assert requests_for_clips(model) == ["filler"]
    clock.pass_seconds(3600)
    assert plane.services.speech_cache.find_clips(BRIEF) == FoundClips(), "nothing is missing"
    spoken = [turn.text for turn in plane.record(phone.call).turns if turn.who is Speaker.AGENT]
    assert CLIPS["agent_filler"].text not in spoken
