"""A call's media from the first frame to the last command."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import ModelToTelephone, TelephoneToModel
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddTimelineEntry,
    AppendAudio,
    BridgeCommand,
    CancelResponse,
    ClearPlayback,
    CommitAudio,
    ConfigureModel,
    ConnectModel,
    CreateResponse,
    EndCall,
    FailCall,
    LeaveStream,
    Log,
    PlayAudio,
    RecordTurn,
    ReviseTurn,
    TruncateItem,
)
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.events import (
    AudioFinished,
    AudioReceived,
    BridgeEvent,
    CallerAudio,
    CallerAudioCommitted,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    CallerTranscriptReceived,
    ConnectFailed,
    DeadlinePassed,
    DigitPressed,
    HangUpRequested,
    LeaveRequested,
    MalformedEventReceived,
    MalformedFrameReceived,
    ModelClosed,
    ModelConnected,
    ModelErrorReceived,
    ModelReady,
    ModelRefused,
    ResponseEnded,
    ResponseStarted,
    SettingsDiffer,
    StreamErrorReceived,
    StreamLost,
    StreamStarted,
    StreamStopped,
    TranscriptFinished,
    TranscriptReceived,
)
from phonebridge.call.call import Call, EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.machine_detection import MachineDetection, OnMachine
from phonebridge.call.steering import Answered, Interrupt, MachineAnswered
from phonebridge.call.usage import Usage
from phonebridge.settings import ModelAudio
from tests.support.bridges import (
    CALL,
    FRAME_MS,
    PREPARED,
    RINGING,
    STARTED,
    agent_turn,
    caller_turn,
    done,
    frame,
    new_bridge,
    play,
    ready_call,
    said,
    silent_call,
    sound,
    words,
)
from tests.support.playbook import At, Playbook, pass_time, unmarked

SECOND_MS = 1000
MAX_PREPARED = replace(PREPARED, max_duration_seconds=60)
SILENT_LINE = FailCall("media_silent", "the carrier sends no audio")
REFUSED = FailCall("model_refused", "session.updated differs in audio.output.voice")


# The beginning.


def test_phone_first_then_model() -> None:
    assert (
        Playbook(new_bridge())
        >> STARTED
        >> At(0.3)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> At(0.5)
        >> ModelReady()
        << CreateResponse()
    )


def test_model_first_then_phone() -> None:
    assert (
        Playbook(new_bridge())
        >> ModelConnected()
        >> At(0.3)
        >> STARTED
        << ConfigureModel(Codec.PCMU)
        >> At(0.5)
        >> ModelReady()
        << CreateResponse()
    )


def test_nothing_is_spoken_before_the_session_is_agreed() -> None:
    assert (
        Playbook(new_bridge())
        >> STARTED
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ResponseStarted("resp-0")
        >> said(500, item="item-0", response="resp-0")
        >> Interrupt()
        >> At(1.0)
        >> ModelReady()
        << CreateResponse()
        >> At(2.0)
    )


def test_a_session_that_is_refused_is_never_greeted() -> None:
    assert (
        Playbook(new_bridge())
        >> STARTED
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelRefused(REFUSED.detail)
        << REFUSED
        >> ModelReady()
        >> At(60.0)
    )


def test_an_error_before_the_session_is_agreed_refuses_it() -> None:
    assert (
        Playbook(new_bridge())
        >> STARTED
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelErrorReceived("unknown_parameter", "Unknown parameter: 'session.temperature'.")
        << FailCall("model_refused", "unknown_parameter: Unknown parameter: 'session.temperature'.")
        >> ModelReady()
    )


def test_a_session_is_agreed_once() -> None:
    assert ready_call() >> ModelReady()


def test_what_the_caller_says_early_is_heard_before_the_greeting() -> None:
    story = Playbook(new_bridge())
    assert (
        story
        >> STARTED
        >> frame(1, 0x01)
        >> frame(2, 0x02)
        >> ModelConnected()
        << (ConfigureModel(Codec.PCMU))
    )
    assert (
        story
        >> ModelReady()
        << AppendAudio(sound(FRAME_MS, 0x01) + sound(FRAME_MS, 0x02))
        << CreateResponse()
        >> frame(3, 0x03)
        << AppendAudio(sound(FRAME_MS, 0x03))
    )


def test_only_the_last_second_of_early_audio_is_kept() -> None:
    story = Playbook(new_bridge())
    assert story >> STARTED >> ModelConnected() << ConfigureModel(Codec.PCMU)
    frames = [frame(chunk, chunk) for chunk in range(1, 76)]
    for early in frames:
        assert story >> early
    last_second = b"".join(early.payload for early in frames)[-SECOND_MS * 8 :]
    assert story >> ModelReady() << AppendAudio(last_second) << CreateResponse()


# Whose call it is, and in which codec.


@pytest.mark.parametrize(
    ("started", "detail"),
    [
        (
            replace(STARTED, encoding="G722"),
            "G722 at 8000 Hz is neither G.711 at 8000 Hz nor L16 at 16000 Hz",
        ),
        (
            replace(STARTED, encoding="L16", sample_rate_hz=8000),
            "L16 at 8000 Hz is neither G.711 at 8000 Hz nor L16 at 16000 Hz",
        ),
        (
            replace(STARTED, sample_rate_hz=16000),
            "PCMU at 16000 Hz is neither G.711 at 8000 Hz nor L16 at 16000 Hz",
        ),
    ],
)
def test_a_line_we_cannot_hear_ends_the_call(started: StreamStarted, detail: str) -> None:
    assert Playbook(new_bridge()) >> started << FailCall("unsupported_codec", detail)


@pytest.mark.parametrize(
    "started",
    [
        replace(STARTED, client_state="call-2", call_control_id="v3:leg-2"),
        replace(STARTED, client_state=None, call_control_id="v3:leg-2"),
    ],
)
def test_a_stream_of_another_call_is_refused(started: StreamStarted) -> None:
    wrong_call = FailCall("wrong_call", "the media stream belongs to another call")
    assert Playbook(new_bridge()) >> started << wrong_call >> ModelConnected()


@pytest.mark.parametrize(
    "started",
    [
        replace(STARTED, client_state=None),
        replace(STARTED, call_control_id="v3:leg-as-the-webhooks-name-it"),
    ],
)
def test_a_call_is_known_by_its_client_state_or_by_its_leg(started: StreamStarted) -> None:
    assert Playbook(new_bridge()) >> started >> ModelConnected() << ConfigureModel(Codec.PCMU)


def test_a_call_whose_leg_is_not_known_yet_takes_its_stream() -> None:
    bridge = Bridge(replace(CALL, leg=None), CallConfig(), ModelAudio.G711, now=0.0)
    started = replace(STARTED, client_state=None)
    assert Playbook(bridge) >> started >> ModelConnected() << ConfigureModel(Codec.PCMU)


def test_a_second_start_changes_nothing() -> None:
    assert (
        ready_call()
        >> replace(STARTED, encoding="PCMA", client_state="call-2")
        << Log("warning", "second start on one media socket")
        >> frame(1)
        << AppendAudio(frame(1).payload)
    )


def test_a_line_with_hd_voice_is_heard_in_it_and_its_gaps_are_filled_in_it() -> None:
    frames = [CallerAudio(bytes([chunk]) * 640, chunk) for chunk in (1, 2, 4)]
    hears = TelephoneToModel(Codec.L16)
    assert (
        Playbook(new_bridge(ModelAudio.PCM24K, CallConfig(codec="L16")))
        >> replace(STARTED, encoding="L16", sample_rate_hz=16_000)
        >> ModelConnected()
        << ConfigureModel(Codec.L16)
        >> ModelReady()
        << CreateResponse()
        >> frames[0]
        << AppendAudio(hears.feed(frames[0].payload))
        >> frames[1]
        << AppendAudio(hears.feed(frames[1].payload))
        >> frames[2]
        >> At(0.1)
        << AppendAudio(hears.feed(frames[1].payload + frames[2].payload))
    )


def test_a_line_in_a_law_is_answered_in_mu_law() -> None:
    story = Playbook(new_bridge(ModelAudio.PCM24K))
    assert (
        story
        >> replace(STARTED, encoding="PCMA")
        >> ModelConnected()
        << ConfigureModel(Codec.PCMA)
        >> ModelReady()
        << CreateResponse()
        >> frame(1)
        << AppendAudio(TelephoneToModel(Codec.PCMA).feed(frame(1).payload))
    )
    spoken = bytes(range(240)) * 10
    speaker = ModelToTelephone(Codec.PCMU)
    assert (
        story
        >> ResponseStarted("resp-1")
        >> AudioReceived("resp-1", "item-1", 0, spoken)
        << PlayAudio(speaker.feed(spoken))
    )


def test_g711_passes_untouched_both_ways() -> None:
    every_code = bytes(range(256))
    assert (
        ready_call(ModelAudio.G711)
        >> CallerAudio(every_code, 1)
        << AppendAudio(every_code)
        >> ResponseStarted("resp-1")
        >> AudioReceived("resp-1", "item-1", 0, every_code)
        << PlayAudio(every_code)
    )


def test_pcm_is_resampled_as_one_stream() -> None:
    story = ready_call(ModelAudio.PCM24K)
    payloads = [bytes((7 * chunk + n) % 256 for n in range(160)) for chunk in range(5)]
    heard = b""
    for number, payload in enumerate(payloads):
        [command] = story.bridge.handle(CallerAudio(payload, number), 0.02 * number)
        assert isinstance(command, AppendAudio)
        heard += command.audio
    assert heard == TelephoneToModel(Codec.PCMU).feed(b"".join(payloads))


# The caller's frames.


def test_frames_that_overtake_each_other_are_put_in_order() -> None:
    assert (
        ready_call()
        >> frame(1, 0x01)
        << AppendAudio(sound(20, 0x01))
        >> frame(3, 0x03)
        >> frame(2, 0x02)
        << AppendAudio(sound(20, 0x02) + sound(20, 0x03))
    )


def test_for_a_lost_frame_the_one_before_it_is_heard_again() -> None:
    story = ready_call()
    assert (
        story
        >> frame(1, 0x01)
        << AppendAudio(sound(20, 0x01))
        >> frame(3, 0x03)
        >> At(0.06)
        << AppendAudio(sound(20, 0x01) + sound(20, 0x03))
    )
    assert story.bridge.activity.frames_in == 2
    assert story.bridge.activity.frames_lost == 1


def test_while_the_caller_speaks_a_gap_is_filled_as_time_passes_so_that_the_turn_can_end() -> None:
    assert (
        ready_call()
        >> frame(1)
        << AppendAudio(frame(1).payload)
        >> CallerSpeechStarted("item-c")
        >> At(1.49)
        >> At(1.5)
        << AppendAudio(sound(1500, 0xFF))
        >> At(2.25)
        << AppendAudio(sound(750, 0xFF))
        >> CallerSpeechStopped("item-c")
        >> At(5.0)
        >> frame(2)
        << AppendAudio(frame(2).payload)
    )


def test_a_gap_in_silence_stays_a_gap() -> None:
    assert ready_call() >> frame(1) << AppendAudio(frame(1).payload) >> At(5.0)


@pytest.mark.parametrize(
    ("event", "entry"),
    [
        (
            StreamErrorReceived("invalid_media"),
            Log("warning", "telnyx stream error", "invalid_media"),
        ),
        (MalformedFrameReceived("Not JSON"), Log("warning", "unreadable media frame", "Not JSON")),
    ],
)
def test_trouble_on_the_line_is_logged_and_the_call_goes_on(event: BridgeEvent, entry: Log) -> None:
    assert ready_call() >> event << entry >> frame(1) << AppendAudio(frame(1).payload)


# The model's faults.


@pytest.mark.parametrize(
    ("closed", "detail"),
    [
        (ModelClosed(4004, ""), "the model's server closed with 4004"),
        (ConnectFailed("refused", 401), "refused"),
        (
            ModelClosed(3000, "invalid_request_error.invalid_api_key"),
            "the model's server closed with 3000 invalid_request_error.invalid_api_key",
        ),
    ],
)
def test_a_model_that_wants_no_session_of_ours_ends_the_call(
    closed: ModelClosed | ConnectFailed, detail: str
) -> None:
    assert Playbook(new_bridge()) >> STARTED >> closed << FailCall("model_unreachable", detail)
    assert ready_call() >> closed << FailCall("model_lost", detail)


def test_an_error_of_the_model_is_data() -> None:
    harmless = ModelErrorReceived("response_cancel_not_active", "no active response found")
    entry = Log("warning", "model error", "response_cancel_not_active: no active response found")
    assert ready_call() >> harmless << entry >> frame(1) << AppendAudio(frame(1).payload)


@pytest.mark.parametrize(
    "code", ["insufficient_quota", "billing_hard_limit_reached", "account_deactivated"]
)
def test_an_account_without_means_ends_the_call(code: str) -> None:
    assert (
        ready_call()
        >> ModelErrorReceived(code, "see your plan")
        << Log("warning", "model error", f"{code}: see your plan")
        << AddTimelineEntry("no reply", f"greeting: refused: {code}: see your plan; given up")
        << FailCall("model_failed", f"greeting: refused: {code}: see your plan")
    )


# Deadlines.


def test_a_socket_without_start() -> None:
    no_start = FailCall("no_media_start", "the media socket sent no start")
    assert Playbook(new_bridge()) >> ModelConnected() >> At(9.9) >> At(10.0) << no_start


def test_a_session_that_does_not_become_ready() -> None:
    not_ready = FailCall("model_timeout", "the model session did not become ready")
    assert (
        Playbook(new_bridge())
        >> STARTED
        >> At(6.6)
        << Log("warning", "model session lost", "no session within 6 s")
        << ConnectModel(CallConfig())
        >> At(11.9)
        >> At(12.0)
        << not_ready
    )


def test_a_line_that_falls_silent_may_be_on_hold() -> None:
    story = silent_call()
    assert story >> At(30.0) >> frame(1) << AppendAudio(frame(1).payload)
    assert story >> At(300.0) >> frame(2) << AppendAudio(frame(2).payload)


def test_a_line_that_never_sends_a_frame() -> None:
    story = silent_call()
    assert story
    assert story >> At(59.9) >> At(60.0) << SILENT_LINE


# The end.


def test_the_carrier_stops_the_stream() -> None:
    assert ready_call() >> StreamStopped() << LeaveStream(was_lost=False) >> StreamLost()


def test_a_socket_that_closes_without_a_word_is_lost() -> None:
    assert ready_call() >> StreamLost() << LeaveStream(was_lost=True)


@pytest.mark.parametrize("farewell", [StreamStopped(), StreamLost()])
def test_a_stream_that_ends_because_we_hung_up_is_not_lost(farewell: BridgeEvent) -> None:
    story = ready_call()
    assert (
        story
        >> HangUpRequested(EndedBy.SHUTDOWN)
        << EndCall(EndedBy.SHUTDOWN)
        >> HangUpRequested(EndedBy.SHUTDOWN)
        >> ModelClosed(1006, "")
    )
    assert story >> At(0.2) >> farewell << LeaveStream(was_lost=False)


def test_hanging_up_in_the_middle_of_a_sentence_falls_silent() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> words("One two three four")
        >> said(1000)
        << play(100)
        << play(100)
        >> At(0.05)
        >> HangUpRequested(EndedBy.SHUTDOWN)
        << EndCall(EndedBy.SHUTDOWN)
        >> said(1000)
        >> At(1.0)
        >> StreamStopped()
        << agent_turn(1, "One", 0, 1000, interrupted=True, unheard="two three four", partial=True)
        << LeaveStream(was_lost=False)
    )


def test_the_callers_last_words_are_still_written_while_hanging_up() -> None:
    assert (
        ready_call()
        >> At(1.0)
        >> CallerSpeechStarted("item-c")
        >> At(2.5)
        >> CallerSpeechStopped("item-c")
        >> HangUpRequested(EndedBy.SHUTDOWN)
        << EndCall(EndedBy.SHUTDOWN)
        >> CallerTranscribed("item-c", "Goodbye")
        << caller_turn(1, "Goodbye", 1000, 2000)
        >> StreamStopped()
        << LeaveStream(was_lost=False)
    )


def test_a_process_that_ends_waits_neither_for_a_goodbye_nor_for_the_carrier() -> None:
    story = ready_call()
    assert story >> HangUpRequested(EndedBy.SHUTDOWN) << EndCall(EndedBy.SHUTDOWN) >> At(1.0)
    assert story >> LeaveRequested() << LeaveStream(was_lost=False)


@pytest.mark.parametrize("late", [ModelConnected(), ModelReady(), ModelRefused("no"), STARTED])
def test_a_call_hung_up_before_it_began_stays_silent(late: BridgeEvent) -> None:
    assert (
        Playbook(new_bridge())
        >> HangUpRequested(EndedBy.SHUTDOWN)
        << EndCall(EndedBy.SHUTDOWN)
        >> late
        >> frame(1)
        >> At(5.0)
        << LeaveStream(was_lost=False)
    )


def test_a_timer_set_before_we_hung_up_does_not_shorten_the_goodbye() -> None:
    assert (
        ready_call()
        >> HangUpRequested(EndedBy.SHUTDOWN)
        << EndCall(EndedBy.SHUTDOWN)
        >> At(0.5)
        >> DeadlinePassed()
        >> At(5.0)
        << LeaveStream(was_lost=False)
    )


def test_nothing_that_was_due_follows_the_end() -> None:
    story = ready_call()
    assert story >> ResponseStarted("resp-1") >> said(1000) << play(100) << play(100)
    story.now = 0.15  # the timer is late
    assert story >> HangUpRequested(EndedBy.SHUTDOWN) << EndCall(EndedBy.SHUTDOWN)

    story = ready_call()
    story.now = 15.5
    assert story >> StreamStopped() << LeaveStream(was_lost=False)


def test_a_gap_in_the_frames_does_not_outlive_the_call() -> None:
    story = ready_call()
    assert (
        story
        >> frame(1)
        << AppendAudio(frame(1).payload)
        >> frame(3)
        >> HangUpRequested(EndedBy.SHUTDOWN)
        << (EndCall(EndedBy.SHUTDOWN))
    )
    assert story >> At(5.0) << LeaveStream(was_lost=False)


def test_what_was_heard_to_its_end_just_before_the_stop_is_a_whole_turn() -> None:
    story = ready_call()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> words("Bye")
        >> said(100)
        << play(100)
        >> AudioFinished("item-1")
        >> done()
    )
    story.now = 0.15  # the timer is late
    assert story >> StreamStopped() << agent_turn(1, "Bye", 0, 100) << LeaveStream(was_lost=False)


def test_sound_that_comes_in_crumbs_leaves_as_soon_as_it_makes_a_chunk() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> said(10)
        >> said(90)
        << play(100)
        >> said(10)
        >> said(190)
        << play(100)
        >> At(0.15)
        << play(100)
    )


def test_sound_behind_sound_that_waits_is_part_of_what_is_cut_off() -> None:
    story = ready_call()
    assert story >> ResponseStarted("resp-1") >> said(600) << play(100) << play(100)
    assert story >> said(600) >> said(600) >> At(0.15) << play(100)
    assert (
        story
        >> CallerSpeechStarted("item-c")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << TruncateItem("item-1", 0, 150)
        << agent_turn(1, "", 0, 150, interrupted=True)
        >> said(600)
    )


def test_a_call_that_fails_writes_what_is_open_first() -> None:
    assert (
        ready_call()
        >> ResponseStarted("resp-1")
        >> words("One two")
        >> said(200)
        << play(100)
        << play(100)
        >> At(0.1)
        >> CallerTranscribed("item-of-nobody", "Hm")
        >> ModelClosed(3000, "no key")
        << agent_turn(1, "", 0, 100, interrupted=True, unheard="One two")
        << FailCall("model_lost", "the model's server closed with 3000 no key")
    )


def test_figures_of_a_call() -> None:
    story = ready_call()
    assert story >> At(0.4) >> ResponseStarted("resp-1") >> said(100) << play(100)
    assert (
        story
        >> done(usage=Usage(input_audio=10, output_audio=20))
        >> At(1.0)
        << agent_turn(1, "", 400, 500)
    )
    activity = story.bridge.activity
    assert (activity.turns, activity.frames_out, activity.first_audio_ms) == (1, 1, 400)
    assert (activity.interruptions, activity.turn_latency_ms) == (0, None)
    assert story.bridge.usage == Usage(input_audio=10, output_audio=20)


# Laws.

_ids = st.sampled_from(["a", "b", "c"])
_audio = st.integers(0, 2000).map(bytes)
_text = st.sampled_from(["", "Hello there"])
_statuses = st.sampled_from(["completed", "cancelled", "incomplete", "failed"])
_events: st.SearchStrategy[BridgeEvent] = st.one_of(
    st.just(STARTED),
    st.builds(CallerAudio, _audio.filter(bool), st.none() | st.integers(0, 100)),
    st.builds(DigitPressed, _text),
    st.sampled_from(
        [StreamErrorReceived(""), MalformedFrameReceived(""), ModelConnected(), ModelReady()]
    ),
    st.builds(ModelErrorReceived, st.sampled_from(["", "insufficient_quota"]), _text),
    st.builds(CallerSpeechStarted, _ids, st.none() | st.integers(0, 2000)),
    st.builds(MachineAnswered, st.booleans()),
    st.builds(CallerSpeechStopped, _ids),
    st.builds(CallerTranscribed, _ids, _text),
    st.builds(CallerTranscriptReceived, _ids, _text, st.integers(0, 1)),
    st.builds(CallerAudioCommitted, _ids),
    st.builds(TranscriptFinished, _ids, _ids, _text, st.none() | st.integers(0, 1)),
    st.sampled_from([SettingsDiffer("voice"), MalformedEventReceived("error", "")]),
    st.builds(ResponseStarted, _ids),
    st.builds(AudioReceived, _ids, _ids, st.just(0), _audio),
    st.builds(AudioFinished, _ids),
    st.builds(TranscriptReceived, _ids, _ids, _text),
    st.builds(ResponseEnded, _ids, _statuses, _text, st.just(Usage())),
    st.sampled_from([Interrupt(), Answered(), DeadlinePassed()]),
)
_endings: st.SearchStrategy[BridgeEvent] = st.sampled_from(
    [
        StreamStopped(),
        StreamLost(),
        ModelRefused(""),
        ModelClosed(1006, ""),
        HangUpRequested(EndedBy.SHUTDOWN),
        LeaveRequested(),
    ]
)
_pauses = st.sampled_from([0.0, 0.0, 1 / 3, 0.02, 0.06, 0.1, 0.123456789, 5.0, 20.0])
_starts = st.sampled_from([0.0, 0.1, 1e6 / 7])
_calls = st.sampled_from([CALL, RINGING])
_watchful = CallConfig(
    max_duration_seconds=60,
    idle_timeout_seconds=3,
    idle_prompts=1,
    barge_in_min_ms=300,
    machine_detection=MachineDetection(OnMachine.LEAVE_MESSAGE, "Call us back."),
)
_configs = st.sampled_from([CallConfig(max_duration_seconds=60), MAX_PREPARED, _watchful])
_kept = st.sampled_from([None, CachedGreeting("Good morning!", sound(700))])
_openings = st.sampled_from([(), (STARTED, ModelConnected(), ModelReady())])


@given(
    call=_calls,
    config=_configs,
    kept=_kept,
    model_audio=st.sampled_from(ModelAudio),
    start=_starts,
    opening=_openings,
    story=st.lists(st.tuples(_pauses, _events | _endings), max_size=30),
)
def test_whatever_happens_a_bridge_neither_fails_nor_spins_and_ends_once(
    call: Call,
    config: CallConfig,
    kept: CachedGreeting | None,
    model_audio: ModelAudio,
    start: float,
    opening: tuple[BridgeEvent, ...],
    story: list[tuple[float, BridgeEvent]],
) -> None:
    now = start
    bridge = Bridge(call, config, model_audio, now, kept)
    commands: list[BridgeCommand] = []
    for pause, event in [*((0.0, event) for event in opening), *story]:
        commands += [command for _, command in pass_time(bridge, now, now + pause)]
        now += pause
        commands += bridge.handle(event, now)
    commands += [command for _, command in pass_time(bridge, now, now + 1000)]
    [end] = [n for n, each in enumerate(commands) if isinstance(each, FailCall | LeaveStream)]
    last_words = AppendAudio | CommitAudio | CancelResponse | RecordTurn | ReviseTurn
    assert all(isinstance(command, last_words) for command in commands[end + 1 :])
    assert bridge.is_over
    assert bridge.next_deadline() is None
    assert bridge.handle(STARTED, now + 1000) == []


@given(
    call=_calls,
    config=_configs,
    kept=_kept,
    start=_starts,
    story=st.lists(st.tuples(_pauses, _events), max_size=30),
)
def test_every_turn_is_recorded_once(
    call: Call,
    config: CallConfig,
    kept: CachedGreeting | None,
    start: float,
    story: list[tuple[float, BridgeEvent]],
) -> None:
    now = start
    bridge = Bridge(call, config, ModelAudio.G711, now, kept)
    commands: list[BridgeCommand] = []
    opening: list[BridgeEvent] = [STARTED, ModelConnected(), ModelReady()]
    for pause, event in [*((0.0, event) for event in opening), *story]:
        commands += [command for _, command in pass_time(bridge, now, now + pause)]
        now += pause
        commands += bridge.handle(event, now)
    commands += [command for _, command in pass_time(bridge, now, now + 1000)]
    turns = [command.turn for command in commands if isinstance(command, RecordTurn)]
    assert sorted(turn.number for turn in turns) == list(range(1, bridge.activity.turns + 1))
    assert all(0 <= turn.started_ms <= turn.ended_ms for turn in turns)


@given(
    call=_calls,
    config=_configs,
    kept=_kept,
    model_audio=st.sampled_from(ModelAudio),
    story=st.lists(st.tuples(_pauses, _events), max_size=30),
)
def test_before_its_deadline_nothing_is_due(
    call: Call,
    config: CallConfig,
    kept: CachedGreeting | None,
    model_audio: ModelAudio,
    story: list[tuple[float, BridgeEvent]],
) -> None:
    now = 0.0
    bridge = Bridge(call, config, model_audio, now, kept)
    opening: list[BridgeEvent] = [STARTED, ModelConnected(), ModelReady()]
    for pause, event in [*((0.0, event) for event in opening), *story]:
        pass_time(bridge, now, now + pause)
        now += pause
        bridge.handle(event, now)
        deadline = bridge.next_deadline()
        if deadline is None or deadline > now:
            assert bridge.handle(DeadlinePassed(), now) == []
            assert (bridge.next_deadline() or inf) >= (deadline or inf)


@given(early_by=st.floats(0.001, 0.09))
def test_a_timer_that_fires_early_does_nothing(early_by: float) -> None:
    bridge = ready_call().bridge
    for event in (ResponseStarted("resp-1"), said(3000)):
        bridge.handle(event, 0.0)
    for _ in range(20):
        deadline = bridge.next_deadline()
        assert deadline is not None
        assert bridge.handle(DeadlinePassed(), deadline - early_by) == []
        assert bridge.next_deadline() == deadline
        assert unmarked(bridge.handle(DeadlinePassed(), deadline)) == [play(100)]
