"""Speech of the caller whose end the server never reports."""

import pytest

from media_bridge.audio.codecs import Codec
from media_bridge.commands import AppendAudio, BridgeCommand, CreateResponse, Log, RecordTurn
from media_bridge.conversation.idle import PROMPT
from media_bridge.conversation.unended_speech import MAX_SPEECH_SECONDS, MEASURE_AFTER_SECONDS
from media_bridge.events import CallerSpeechStarted, CallerSpeechStopped, ResponseStarted
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.steering import Interrupt, Mute, Side
from phonebridge.settings import ModelAudio
from tests.support.bridges import FRAME_MS, done, frame, ready_call, say_of
from tests.support.playbook import Playbook, pass_time

LOUD, QUIET = 0x22, Codec.PCMU.silence[0]
SAY = CreateResponse(exact_text="Your table is ready.")
SERVER_VAD_SECONDS = MEASURE_AFTER_SECONDS + 3.5
SEMANTIC_VAD_SECONDS = MEASURE_AFTER_SECONDS + 11.0


def speaking(
    config: CallConfig | None = None, model_audio: ModelAudio = ModelAudio.G711
) -> Playbook:
    """The caller begins to speak at 0 s, and a request waits for the end."""
    story = ready_call(model_audio, config or CallConfig())
    for event in (ResponseStarted("resp-1"), Interrupt(), done("resp-1", "cancelled")):
        story.bridge.handle(event, 0.0)
    story.bridge.handle(CallerSpeechStarted("user-1"), 0.0)
    story.bridge.handle(say_of(SAY), 0.0)
    return story


def hear(story: Playbook, code: int, until: float) -> list[tuple[float, BridgeCommand]]:
    """What the bridge does, besides passing the frames on."""
    done_at: list[tuple[float, BridgeCommand]] = []
    number = round(story.now * 1000 / FRAME_MS)
    while story.now < until:
        number += 1
        at = number * FRAME_MS / 1000
        done_at += pass_time(story.bridge, story.now, at)
        story.now = at
        done_at += [(at, each) for each in story.bridge.handle(frame(number, code), at)]
    return [each for each in done_at if not isinstance(each[1], AppendAudio | RecordTurn)]


@pytest.mark.parametrize("model_audio", ModelAudio)
@pytest.mark.parametrize(
    ("detector", "seconds"),
    [("server_vad", SERVER_VAD_SECONDS), ("semantic_vad", SEMANTIC_VAD_SECONDS)],
)
def test_on_a_quiet_line_what_waits_goes_on_although_the_server_tells_no_end(
    model_audio: ModelAudio, detector: str, seconds: float
) -> None:
    story = speaking(CallConfig(turn_detection=TurnDetection(detector)), model_audio)
    assert hear(story, QUIET, seconds - 1) == []
    told = hear(story, QUIET, seconds + 2.1)
    assert [each for _, each in told if isinstance(each, CreateResponse)] == [SAY]
    assert isinstance(told[0][1], Log)


def test_a_caller_who_is_heard_is_listened_to() -> None:
    story = speaking()
    assert hear(story, LOUD, 40.0) == []
    told = hear(story, QUIET, 46.0)
    assert [each for _, each in told if isinstance(each, CreateResponse)] == [SAY]


def test_on_a_line_that_is_never_quiet_nobody_is_listened_to_for_ever() -> None:
    story = speaking(CallConfig(max_duration_seconds=600))
    assert hear(story, LOUD, MAX_SPEECH_SECONDS - 1) == []
    told = hear(story, LOUD, MAX_SPEECH_SECONDS + 2)
    assert [each for _, each in told if isinstance(each, CreateResponse)] == [SAY]


def test_a_line_that_stops_sending_is_quiet() -> None:
    story = speaking()
    hear(story, LOUD, 1.0)
    commands = [each for _, each in pass_time(story.bridge, story.now, SERVER_VAD_SECONDS + 2)]
    assert SAY in commands


def test_the_idle_rules_apply_again() -> None:
    story = speaking(CallConfig(idle_timeout_seconds=5, idle_prompts=1))
    hear(story, QUIET, SERVER_VAD_SECONDS + 2.1)
    for event in (ResponseStarted("resp-2"), Interrupt(), done("resp-2", "cancelled")):
        story.bridge.handle(event, story.now)
    assert PROMPT in [each for _, each in hear(story, QUIET, story.now + 5.1)]


def test_an_end_that_is_told_after_all_is_an_end_like_any_other() -> None:
    story = speaking()
    hear(story, QUIET, SERVER_VAD_SECONDS + 2.1)
    for event in (ResponseStarted("resp-2"), Interrupt(), done("resp-2", "cancelled")):
        story.bridge.handle(event, story.now)
    story.bridge.handle(CallerSpeechStopped("user-1"), story.now)
    assert CreateResponse() in [each for _, each in hear(story, QUIET, story.now + 3.1)]


def test_a_caller_who_stops_and_speaks_again_is_measured_anew() -> None:
    story = speaking()
    hear(story, LOUD, 5.0)
    story.bridge.handle(CallerSpeechStopped("user-1"), story.now)
    story.bridge.handle(ResponseStarted("resp-2"), story.now)
    story.bridge.handle(CallerSpeechStarted("user-2"), story.now)
    assert [each for _, each in hear(story, QUIET, 12.0) if isinstance(each, CreateResponse)] == []
    assert CreateResponse(exact_text=SAY.exact_text) in [
        each for _, each in hear(story, QUIET, 19.0)
    ]


def test_a_muted_caller_is_quiet() -> None:
    story = speaking()
    story.bridge.handle(Mute(Side.CALLER, True), 0.0)
    assert SAY in [each for _, each in hear(story, LOUD, SERVER_VAD_SECONDS + 2.1)]
