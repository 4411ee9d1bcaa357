"""Sessions that are made ready while the phone rings, and what becomes of them."""

from dataclasses import replace

import pytest

from media_bridge.audio.codecs import Codec, decode, encode
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddTimelineEntry,
    AppendAudio,
    ClearPlayback,
    ConfigureModel,
    ConnectModel,
    CreateResponse,
    EndCall,
    FailCall,
    LeaveStream,
    Log,
    PlayAudio,
    RecordStart,
    TruncateItem,
)
from media_bridge.conversation.model_session import ModelSession
from media_bridge.conversation.reconnects import ReconnectBudget
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerAudio,
    CallerSpeechStarted,
    ConnectFailed,
    DeadlinePassed,
    HangUpRequested,
    MalformedEventReceived,
    ModelClosed,
    ModelConnected,
    ModelErrorReceived,
    ModelReady,
    ModelRefused,
    ResponseStarted,
    SettingsDiffer,
    StreamLost,
)
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Answered
from phonebridge.call.usage import Usage
from phonebridge.settings import ModelAudio
from tests.support.bridges import (
    PREPARED,
    RINGING,
    STARTED,
    WITH_DIAL,
    agent_turn,
    done,
    frame,
    new_bridge,
    play,
    ready_call,
    ringing_bridge,
    said,
    sound,
    words,
)
from tests.support.playbook import At, Playbook, pass_time

NO_START = Log("warning", "no start on the early stream")
GREET = CreateResponse(exact_text=PREPARED.greeting, allow_tools=False)


def loss_log(why: str) -> Log:
    return Log("warning", "model session lost", why)


def session_of(
    is_ringing: bool, codec: str = "PCMU", model_audio: ModelAudio = ModelAudio.G711
) -> ModelSession:
    session = ModelSession(
        CallConfig(codec=codec), model_audio, is_ringing, ReconnectBudget("call-1")
    )
    session.begin(0.0)
    return session


def ready_while_ringing(
    config: CallConfig = WITH_DIAL, model_audio: ModelAudio = ModelAudio.G711
) -> Playbook:
    story = Playbook(ringing_bridge(config, model_audio))
    assert story >> ModelConnected() << ConfigureModel(Codec.PCMU)
    return story


def preparing(model_audio: ModelAudio = ModelAudio.G711) -> Playbook:
    """The model has begun to make the greeting."""
    story = ready_while_ringing(PREPARED, model_audio)
    assert story >> ModelReady() << GREET >> ResponseStarted("resp-1")
    return story


def prepared_call() -> Playbook:
    """The greeting is made, and the phone still rings."""
    story = preparing()
    assert story >> said(20) >> done()
    return story


def test_the_session_is_ready_when_somebody_answers() -> None:
    assert (
        ready_while_ringing()
        >> ModelReady()
        >> At(20.0)
        >> STARTED
        << RecordStart()
        << CreateResponse()
        >> frame(1)
        << AppendAudio(frame(1).payload)
    )


def test_a_prepared_greeting_leaves_with_the_start() -> None:
    story = preparing()
    assert (
        story
        >> words("Good evening!")
        >> said(500)
        >> AudioFinished("item-1")
        >> done(usage=Usage(output_audio=10))
        >> At(20.0)
        >> STARTED
        << RecordStart()
        << play(100)
        << play(100)
        >> At(20.6)
        << play(100)
        << play(100)
        << play(100)
        << agent_turn(1, "Good evening!", 0, 500)
    )
    assert story.bridge.activity.first_audio_ms == 0
    assert story.bridge.usage.output_audio == 10


def test_a_greeting_of_the_models_own_is_prepared_without_doing_anything() -> None:
    """The call may not be answered."""
    story = ready_while_ringing(replace(PREPARED, greeting=None))
    assert story >> ModelReady() << CreateResponse(allow_tools=False)


def test_a_prepared_greeting_is_cut_where_the_caller_cut_in() -> None:
    story = preparing()
    assert (
        story
        >> words("One two three four five six seven eight nine ten")
        >> said(1000)
        >> done()
        >> At(7.0)
        >> STARTED
        << RecordStart()
        << play(100)
        << play(100)
        >> At(7.25)
        << play(100)
        << play(100)
        >> CallerSpeechStarted("item-c")
        << ClearPlayback()
        << TruncateItem("item-1", 0, 250)
        << agent_turn(
            1,
            "One two three",
            0,
            250,
            interrupted=True,
            unheard="four five six seven eight nine ten",
        )
    )


def test_a_greeting_that_is_not_prepared_in_time_comes_as_it_is_made() -> None:
    story = preparing()
    assert story >> At(1.0) >> STARTED << RecordStart() >> At(1.4) >> said(100) << play(100)
    assert story.bridge.activity.first_audio_ms == 400
    assert Playbook(ringing_bridge(PREPARED)) >> At(0.1) >> STARTED << RecordStart()


def test_a_session_that_comes_after_the_answer_hears_the_line_as_it_is() -> None:
    assert (
        Playbook(ringing_bridge(PREPARED))
        >> At(0.1)
        >> replace(STARTED, encoding="PCMA")
        << RecordStart()
        >> ModelConnected()
        << ConfigureModel(Codec.PCMA)
        >> ModelReady()
        << CreateResponse(exact_text=PREPARED.greeting)
        >> frame(1)
        << AppendAudio(frame(1).payload)
    )


def test_a_line_that_turns_out_to_speak_a_law_is_transcoded() -> None:
    every_code = bytes(range(256)) * 2
    assert (
        ready_while_ringing()
        >> ModelReady()
        >> replace(STARTED, encoding="PCMA")
        << RecordStart()
        << CreateResponse()
        >> CallerAudio(every_code, 1)
        << AppendAudio(encode(Codec.PCMU, decode(Codec.PCMA, every_code)))
    )


def test_a_session_that_replaces_an_early_one_expects_the_same_law() -> None:
    """The caller's sound is transcoded for the whole call."""
    every_code = bytes(range(256)) * 2
    transcoded = AppendAudio(encode(Codec.PCMU, decode(Codec.PCMA, every_code)))
    story = (
        ready_while_ringing()
        >> ModelReady()
        >> replace(STARTED, encoding="PCMA")
        << RecordStart()
        << CreateResponse()
        >> CallerAudio(every_code, 1)
        << transcoded
    )
    handle = story.bridge.handle
    handle(ModelClosed(1011, "internal error"), 1.0)
    due = story.bridge.next_deadline()
    assert due is not None
    assert ConnectModel in map(type, handle(DeadlinePassed(), due))
    assert ConfigureModel(Codec.PCMU) in handle(ModelConnected(), due)


def test_a_line_that_turns_out_to_speak_l16_is_refused() -> None:
    story = ready_while_ringing() >> ModelReady()
    started = replace(STARTED, encoding="L16", sample_rate_hz=16_000)
    [refusal] = story.bridge.handle(started, 1.0)
    assert isinstance(refusal, FailCall)
    assert refusal.reason == "unsupported_codec"


def test_nobody_answers() -> None:
    story = prepared_call()
    assert story >> At(30.0) >> StreamLost() << LeaveStream(was_lost=False)
    assert not story.bridge.has_started


def test_a_phone_rings_for_two_minutes_at_most() -> None:
    story = prepared_call()
    assert story >> At(119.9) >> At(120.0) << NO_START << LeaveStream(was_lost=False)


def test_a_stream_that_does_not_start_although_somebody_answered_is_left_to_be_replaced() -> None:
    story = prepared_call()
    assert (
        story
        >> At(20.0)
        >> Answered()
        >> At(22.9)
        >> At(23.0)
        << NO_START
        << LeaveStream(was_lost=False)
    )
    assert not story.bridge.has_started


def test_the_answer_is_no_news_after_the_start() -> None:
    assert (
        ready_while_ringing()
        >> ModelReady()
        >> STARTED
        << RecordStart()
        << CreateResponse()
        >> Answered()
        >> At(14.9)
    )


def test_a_stream_after_the_answer_expects_the_start_at_once() -> None:
    late = Bridge(replace(RINGING, answered_at_ms=5_000), WITH_DIAL, ModelAudio.G711, 0.0)
    story = Playbook(late)
    assert story >> ModelConnected() << ConfigureModel(Codec.PCMU) >> ModelReady()
    assert story >> At(9.9) >> At(10.0) << NO_START << LeaveStream(was_lost=False)


@pytest.mark.parametrize("saying", [None, "Goodbye!"])
def test_a_call_that_is_to_end_while_the_phone_rings_ends_without_a_word(
    saying: str | None,
) -> None:
    story = ready_while_ringing(PREPARED)
    end = HangUpRequested(EndedBy.SHUTDOWN, saying)
    assert story >> ModelReady() << GREET >> end << EndCall(EndedBy.SHUTDOWN)


@pytest.mark.parametrize("config", [WITH_DIAL, PREPARED])
@pytest.mark.parametrize("before", [[], [ModelConnected()], [ModelConnected(), ModelReady()]])
def test_a_session_lost_while_the_phone_rings_is_opened_anew(
    config: CallConfig, before: list[BridgeEvent]
) -> None:
    story = Playbook(ringing_bridge(config))
    for event in before:
        story.bridge.handle(event, 0.0)
    closed = ModelClosed(1011, "internal error")
    commands = story.bridge.handle(closed, 0.0)
    commands += [command for _, command in pass_time(story.bridge, 0.0, 1.0)]
    assert commands[0] == loss_log("the model's server closed with 1011 internal error")
    assert commands[1:] == [ConnectModel(config)]


@pytest.mark.parametrize("config", [WITH_DIAL, PREPARED])
def test_a_session_that_cannot_be_had_while_the_phone_rings_is_tried_again_on_the_answer(
    config: CallConfig,
) -> None:
    story = Playbook(ringing_bridge(config))
    for _ in range(4):
        story.bridge.handle(ConnectFailed("busy", 503), story.now)
        list(pass_time(story.bridge, story.now, story.now + 3.0))
        story.now += 3.0
    assert (
        story
        >> At(15.0)
        >> STARTED
        << RecordStart()
        << ConnectModel(config)
        >> frame(1)
        >> At(15.3)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << AppendAudio(frame(1).payload)
        << CreateResponse(exact_text=config.greeting)
    )


def test_a_greeting_that_fails_again_and_again_is_tried_anew_in_another_session() -> None:
    story = ready_while_ringing(PREPARED)
    why = "greeting: failed: rate limit"
    failed, noted = (
        Log("warning", "model gave no reply", why),
        AddTimelineEntry("no reply", f"{why}; asked again"),
    )
    assert (
        story
        >> ModelReady()
        << GREET
        >> ResponseStarted("resp-1")
        >> done("resp-1", "failed", "rate limit", Usage(input_text=5))
        << failed
        << noted
        >> At(0.5)
        << GREET
        >> ResponseStarted("resp-2")
        >> done("resp-2", "failed", "rate limit", Usage(input_text=5))
        << failed
        << noted
        >> At(1.5)
        << GREET
        >> ResponseStarted("resp-3")
        >> done("resp-3", "failed", "rate limit", Usage(input_text=5))
        << failed
        << noted
        >> At(3.5)
        << GREET
        >> ResponseStarted("resp-4")
        >> done("resp-4", "failed", "rate limit", Usage(input_text=5))
        << loss_log(why)
        << ConnectModel(PREPARED)
        >> said(100, response="resp-4")
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << GREET
    )
    assert story.bridge.usage.input_text == 20, "what was in vain was paid for too"


def test_a_session_that_does_not_come_after_the_answer_ends_the_call() -> None:
    timeout = FailCall("model_timeout", "the model session did not become ready")
    story = Playbook(ringing_bridge(WITH_DIAL))
    story.bridge.handle(STARTED, 1.0)
    ended = [command for _, command in pass_time(story.bridge, 1.0, 14.0)]
    assert isinstance(ended[-1], FailCall)
    assert ended[-1].reason == timeout.reason
    story = ready_while_ringing() >> ModelReady() >> STARTED << RecordStart() << CreateResponse()
    assert (
        story
        >> ModelClosed(3000, "")
        << FailCall("model_lost", "the model's server closed with 3000")
    )


@pytest.mark.parametrize(
    "refusal", [ModelRefused("voice"), ModelErrorReceived("invalid_api_key", "Incorrect API key")]
)
def test_a_call_that_no_session_would_carry_ends_before_somebody_answers(
    refusal: BridgeEvent,
) -> None:
    story = ready_while_ringing()
    [command] = story.bridge.handle(refusal, 1.0)
    assert isinstance(command, FailCall)
    assert command.reason == "model_refused"


def test_what_needs_a_ready_session_waits_for_it() -> None:
    session = session_of(is_ringing=False)
    assert session.hold(CreateResponse())
    assert not session.hold(LeaveStream(was_lost=False))
    session.handle(ModelConnected(), Codec.PCMU, 0.0)
    assert session.handle(ModelReady(), Codec.PCMU, 0.0)[-1] == CreateResponse()
    assert not session.hold(CreateResponse())


def test_pcm_is_played_at_once_too() -> None:
    story = preparing(ModelAudio.PCM24K)
    story.bridge.handle(replace(said(3000), audio=sound(3000)), 0.0)
    started = story.bridge.handle(STARTED, 5.0)
    assert [type(each) for each in started].count(PlayAudio) == 2


@pytest.mark.parametrize(("rings", "line"), [(True, None), (False, Codec.L16), (False, Codec.PCMU)])
def test_l16_is_refused_where_the_model_has_the_lines_own_g711(
    rings: bool, line: Codec | None
) -> None:
    session = session_of(rings, "L16")
    [refusal] = session.handle(ModelConnected(), line, 0.0)
    assert isinstance(refusal, FailCall)
    assert refusal.reason == "unsupported_codec"


def test_settings_that_change_by_themselves_are_noted_once_and_end_no_call() -> None:
    differs, others = SettingsDiffer("voice"), SettingsDiffer("tools")
    assert (
        ready_call()
        >> differs
        << Log("warning", "model settings differ", "voice")
        << AddTimelineEntry("model settings differ", "voice")
        >> differs
        >> others
        << Log("warning", "model settings differ", "tools")
        << AddTimelineEntry("model settings differ", "tools")
    )


def test_an_event_of_no_use_is_noted_once_for_each_type_and_ends_no_call() -> None:
    story = Playbook(new_bridge())
    assert story >> STARTED >> ModelConnected() << ConfigureModel(Codec.PCMU)
    assert (
        story
        >> MalformedEventReceived("", "no event")
        << Log("warning", "malformed model event", "no event")
        << AddTimelineEntry("malformed model event", "no event")
        >> ModelReady()
        << CreateResponse()
        >> MalformedEventReceived("", "no event either")
        >> MalformedEventReceived("response.done", "no id")
        << Log("warning", "malformed model event", "no id")
        << AddTimelineEntry("malformed model event", "no id")
        >> MalformedEventReceived("response.done", "no status")
    )
