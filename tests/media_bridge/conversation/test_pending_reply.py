"""The caller waits, and the model does not deliver."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    AppendAudio,
    BridgeCommand,
    CancelResponse,
    ClearPlayback,
    ConfigureModel,
    ConnectModel,
    CreateResponse,
    EndCall,
    FailCall,
    Log,
    PlayAudio,
    RecordTurn,
    RestoreHistory,
    Role,
    RunFunction,
    SendDtmf,
    SendToolOutput,
)
from media_bridge.conversation.active_response import MCP_STALL_TIMEOUT, STALL_TIMEOUT
from media_bridge.conversation.history import finish_sentence
from media_bridge.conversation.pending_reply import ALREADY_RESPONDING
from media_bridge.conversation.retry_budget import FATAL_CODES, MAX_ATTEMPTS
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    DigitPressed,
    HangUpRequested,
    ModelClosed,
    ModelConnected,
    ModelErrorReceived,
    ModelReady,
    ResponseProgressed,
    ResponseStarted,
    StreamStopped,
)
from media_bridge.speech.clips import SpeechClip, SpeechClips
from media_bridge.tool_events import (
    FunctionCalled,
    FunctionReturned,
    McpCalled,
    McpReturned,
    OutputAdded,
)
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.steering import Interrupt, Mute, Side
from phonebridge.call.tools import BuiltIn, HttpsFunction, Tools
from phonebridge.settings import ModelAudio
from tests.support.bridges import (
    CALL,
    STARTED,
    agent_turn,
    caller_turn,
    done,
    frame,
    play,
    ready_call,
    said,
    say_of,
    sound,
    words,
)
from tests.support.playbook import At, Playbook, pass_time, unmarked

FILLER = SpeechClip("One moment, please.", sound(100, 0x33))
APOLOGY = SpeechClip("I am sorry, goodbye.", sound(100, 0x44))
CLIPS = SpeechClips(FILLER, APOLOGY)
ORDER = HttpsFunction(name="order", url="https://example.com/order")
SAY = CreateResponse(exact_text="Your table is ready.")


def call_with(clips: SpeechClips = CLIPS, config: CallConfig | None = None) -> Playbook:
    """Return a call whose model has just been asked to greet."""
    return ready_call(config=config, clips=clips)


def greeted_call(clips: SpeechClips = SpeechClips(), config: CallConfig | None = None) -> Playbook:  # noqa: B008
    story = call_with(clips, config)
    assert (
        story
        >> ResponseStarted("greeting")
        >> said(20, "item-0", "greeting")
        << play(20)
        >> done("greeting")
        >> At(10.0)
        << agent_turn(1, "", 0, 20)
    )
    return story


def asking(clips: SpeechClips = SpeechClips(), config: CallConfig | None = None) -> Playbook:  # noqa: B008
    """The caller has spoken at 10 s."""
    story = greeted_call(clips, config)
    assert story >> CallerSpeechStarted("user-1") >> CallerSpeechStopped("user-1")
    return story


def failure_notes(why: str, purpose: str = "answer to the caller") -> tuple[Log, AddTimelineEntry]:
    detail = f"{purpose}: {why}"
    return Log("warning", "model gave no reply", detail), AddTimelineEntry(
        "no reply", f"{detail}; asked again"
    )


def request_id(number: int) -> str:
    return f"response-{number}"


# A response is judged by what the caller got.

SILENT = [
    ("completed", "", "completed without speech"),
    ("incomplete", "content_filter", "incomplete: content_filter"),
    ("incomplete", "max_output_tokens", "incomplete: max_output_tokens"),
    ("failed", "server_error", "failed: server_error"),
    ("failed", "", "failed"),
    ("cancelled", "turn_detected", "cancelled: turn_detected"),
    ("cancelled", "client_cancelled", "cancelled: client_cancelled"),
    ("of another kind", "", "of another kind"),
]


@pytest.mark.parametrize(("status", "detail", "why"), SILENT)
def test_a_silent_answer_to_the_caller_is_asked_for_again_within_a_second(
    status: str, detail: str, why: str
) -> None:
    log, note = failure_notes(why)
    assert (
        asking()
        >> ResponseStarted("resp-1")
        >> words("Text that nobody hears.", "silent")
        >> done(status=status, detail=detail)
        << log
        << note
        >> At(10.4)
        >> At(10.5)
        << CreateResponse()
        >> ResponseStarted("resp-2")
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2")
    )


@pytest.mark.parametrize(("status", "detail", "why"), SILENT)
def test_a_model_that_stays_silent_ends_the_call_with_the_reason(
    status: str, detail: str, why: str
) -> None:
    story = asking()
    asked = 0
    for number in range(1, MAX_ATTEMPTS + 1):
        story.bridge.handle(ResponseStarted(f"resp-{number}"), story.now)
        commands = story.bridge.handle(done(f"resp-{number}", status, detail), story.now)
        if number < MAX_ATTEMPTS:
            asked += sum(each == CreateResponse() for each in after(story, 4.0))
    assert asked == MAX_ATTEMPTS - 1
    end = commands[-1]
    assert isinstance(end, FailCall)
    assert end.detail == f"answer to the caller: {why}"
    assert end.reason == ("model_failed" if status == "failed" else "model_silent")
    assert story.now < 25.0
    assert AddTimelineEntry("no reply", f"answer to the caller: {why}; given up") in commands


def after(story: Playbook, seconds: float) -> list[BridgeCommand]:
    """What the bridge does meanwhile; the line goes on sending frames."""
    commands: list[BridgeCommand] = []
    until = story.now + seconds
    while story.now < until:
        step = min(story.now + 5.0, until)
        commands += [each for _, each in pass_time(story.bridge, story.now, step)]
        story.now = step
        story.bridge.handle(frame(round(step * 50)), step)
    return [each for each in commands if not isinstance(each, AppendAudio | RecordTurn)]


def purposes() -> list[tuple[str, Playbook, CreateResponse]]:
    """Yield calls in which one kind of request has just been sent to the model."""
    function = CallConfig(tools=Tools(functions=(ORDER,)))
    tool = asking(config=function)
    for event in (
        ResponseStarted("resp-0"),
        FunctionCalled("resp-0", "call-1", "order", "{}"),
        done("resp-0"),
        FunctionReturned("call-1", "{}", ok=True),
        OutputAdded("call-1"),
    ):
        tool.bridge.handle(event, tool.now)
    say = greeted_call()
    say.bridge.handle(say_of(SAY), say.now)
    keys = greeted_call()
    keys.bridge.handle(DigitPressed("#"), keys.now)
    greeting = call_with(SpeechClips())
    return [
        ("answer after a tool", tool, CreateResponse()),
        ("say", say, SAY),
        ("answer to keys", keys, CreateResponse()),
        ("greeting", greeting, CreateResponse()),
    ]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize(("status", "detail", "why"), SILENT)
def test_whatever_the_model_was_asked_for_is_asked_for_again(
    which: int, status: str, detail: str, why: str
) -> None:
    purpose, story, request = purposes()[which]
    log, note = failure_notes(why, purpose)
    assert story >> ResponseStarted("resp-1") >> done(status=status, detail=detail) << log << note
    assert after(story, 0.6) == [request]


def test_a_say_that_was_never_spoken_is_told() -> None:
    story = greeted_call()
    story.bridge.handle(say_of(SAY), story.now)
    commands: list[BridgeCommand] = []
    for number in range(MAX_ATTEMPTS):
        story.bridge.handle(ResponseStarted(f"resp-{number}"), story.now)
        ended = done(f"resp-{number}", "incomplete", "content_filter")
        commands += story.bridge.handle(ended, story.now)
        commands += after(story, 4.0)
    assert AddTimelineEntry("not spoken", "say: incomplete: content_filter") in commands


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_say_that_the_end_of_the_call_prevented_is_told(is_sent: bool) -> None:
    story = greeted_call() if is_sent else asking()
    story.bridge.handle(say_of(SAY), story.now)
    commands = story.bridge.handle(StreamStopped(), story.now)
    assert AddTimelineEntry("not spoken", "say: the call ended first") in commands


def test_a_say_for_a_model_that_never_became_ready_is_told() -> None:
    story = Playbook(Bridge(CALL, CallConfig(), ModelAudio.G711, 0.0))
    assert story >> STARTED >> say_of(SAY)
    commands = story.bridge.handle(StreamStopped(), 1.0)
    assert AddTimelineEntry("not spoken", "say: the model was not ready") in commands


def test_a_say_that_a_lost_session_prevented_is_told() -> None:
    story = saying()
    commands = story.bridge.handle(ModelClosed(3000, ""), story.now)
    assert [each for each in commands if isinstance(each, AddTimelineEntry)] == [
        AddTimelineEntry("not spoken", "say: the call ended first")
    ]


def test_a_say_that_the_caller_prevented_is_told() -> None:
    story = greeted_call()
    assert (
        story
        >> say_of(SAY)
        << SAY
        >> ResponseStarted("resp-1")
        >> CallerSpeechStarted("user-1")
        << CancelResponse("resp-1")
        >> done(status="cancelled")
        << AddTimelineEntry("not spoken", "say: it was interrupted")
    )


@pytest.mark.parametrize("status", ["incomplete", "failed", "cancelled"])
def test_a_response_that_was_heard_counts_whatever_its_status(status: str) -> None:
    story = asking()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> said(20)
        << play(20)
        >> done(status=status, detail="x")
        << Log("warning", "model reply cut short", f"{status}: x")
        << AddTimelineEntry("reply cut short", f"{status}: x")
    )
    assert not [each for each in after(story, 50.0) if isinstance(each, CreateResponse | FailCall)]


def test_an_empty_piece_of_sound_is_no_reply() -> None:
    log, note = failure_notes("completed without speech")
    assert asking() >> ResponseStarted("resp-1") >> said(0) >> done() << log << note


def test_a_response_whose_start_was_not_told_is_judged_like_any_other() -> None:
    log, note = failure_notes("failed: server_error")
    assert (
        asking()
        >> done("resp-1", "failed", "server_error")
        << log
        << note
        >> At(10.5)
        << CreateResponse()
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2")
    )


# Silence that is wanted.


def test_after_keys_were_pressed_for_the_model_nobody_asks_for_words() -> None:
    story = asking(config=CallConfig(tools=Tools(built_in=(BuiltIn.SEND_DTMF,))))
    story.bridge.handle(ResponseStarted("resp-1"), 10.0)
    story.bridge.handle(FunctionCalled("resp-1", "call-1", "send_dtmf", '{"digits":"1"}'), 10.0)
    commands = story.bridge.handle(done(), 10.0)
    assert SendDtmf("1") in commands
    assert after(story, 60.0) == []


def test_a_muted_agent_is_not_asked_again() -> None:
    story = asking()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> Mute(Side.AGENT, True)
        << CancelResponse("resp-1")
        >> done(status="cancelled")
        >> CallerSpeechStarted("user-2")
        >> CallerSpeechStopped("user-2")
        >> At(55.0)
    )


def test_a_response_that_the_api_stopped_is_not_asked_for_again() -> None:
    assert (
        asking()
        >> ResponseStarted("resp-1")
        >> Interrupt()
        << CancelResponse("resp-1")
        >> done(status="cancelled", detail="client_cancelled")
        >> At(55.0)
    )


@pytest.mark.parametrize("status", ["cancelled", "completed", "incomplete", "failed"])
def test_a_response_that_the_caller_stopped_is_not_asked_for_again(status: str) -> None:
    story = asking()
    assert (
        story
        >> ResponseStarted("resp-1")
        >> CallerSpeechStarted("user-2")
        << CancelResponse("resp-1")
        >> done(status=status)
        >> CallerSpeechStopped("user-2")
        >> ResponseStarted("resp-2")
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2")
    )
    assert not [each for each in after(story, 50.0) if isinstance(each, CreateResponse | FailCall)]


def test_a_caller_who_speaks_between_two_attempts_is_answered_by_the_server() -> None:
    log, note = failure_notes("completed without speech")
    assert (
        asking()
        >> ResponseStarted("resp-1")
        >> done()
        << log
        << note
        >> At(10.2)
        >> CallerSpeechStarted("user-2")
        >> At(12.0)
        >> CallerSpeechStopped("user-2")
        >> ResponseStarted("resp-2")
        >> said(20, response="resp-2")
        << play(20)
        >> done("resp-2")
        >> At(12.01)
    )


# A server that does not answer by itself.


def test_a_caller_whom_the_server_does_not_answer_is_answered_by_request() -> None:
    assert asking() >> At(12.9) >> At(13.0) << CreateResponse()


def test_short_speech_while_the_agent_talks_is_answered_when_the_server_does_not() -> None:
    story = ready_call(config=CallConfig(barge_in_min_ms=500))
    story.now = 20.0
    story.bridge.handle(ResponseStarted("resp-1"), 20.0)
    story.bridge.handle(said(1000), 20.0)
    story.bridge.handle(CallerSpeechStarted("user-1", started_ms=19_000), 20.2)
    story.bridge.handle(CallerSpeechStopped("user-1", ended_ms=19_200), 20.4)
    story.bridge.handle(done(), 20.5)
    story.now = 20.5
    assert [each for each in after(story, 1.1) if isinstance(each, CreateResponse)] == [
        CreateResponse()
    ]


def test_where_we_have_to_ask_in_any_case_we_ask_at_once() -> None:
    detection = TurnDetection(create_response=False)
    story = greeted_call(config=CallConfig(turn_detection=detection))
    assert (
        story >> CallerSpeechStarted("user-1") >> CallerSpeechStopped("user-1") << CreateResponse()
    )


# Errors, and the requests that they name.


def saying() -> Playbook:
    """The second request of the call is on its way."""
    story = greeted_call()
    assert story >> say_of(SAY) << SAY
    return story


@pytest.mark.parametrize("code", ["server_error", "invalid_value", "rate_limit_exceeded", "error"])
def test_a_request_that_is_refused_by_name_is_sent_again(code: str) -> None:
    log, note = failure_notes(f"refused: {code}: No.", "say")
    assert (
        saying()
        >> ModelErrorReceived(code, "No.", request_id(2))
        << Log("warning", "model error", f"{code}: No.")
        << log
        << note
        >> At(10.5)
        << SAY
        >> ResponseStarted("resp-1")
    )


@pytest.mark.parametrize(
    ("code", "event_id"),
    [
        ("server_error", request_id(1)),
        ("server_error", "update-1"),
        ("server_error", "output-call-1"),
        ("rate_limit_exceeded", "of somebody else"),
        (ALREADY_RESPONDING, request_id(1)),
        ("server_error", None),
        ("response_cancel_not_active", None),
        ("invalid_value", None),
    ],
)
def test_an_error_about_nothing_of_ours_changes_nothing(code: str, event_id: str | None) -> None:
    assert (
        saying()
        >> ModelErrorReceived(code, "No.", event_id)
        << Log("warning", "model error", f"{code}: No.")
        >> At(20.0)
        >> ResponseStarted("resp-1")
        >> said(20)
        << play(20)
        >> done()
    )


@pytest.mark.parametrize("event_id", [None, request_id(2)])
def test_a_limit_without_a_name_is_about_the_request_that_is_on_its_way(
    event_id: str | None,
) -> None:
    story = saying()
    story.bridge.handle(ModelErrorReceived("rate_limit_exceeded", "", event_id, 3.0), story.now)
    assert after(story, 2.9) == []
    assert after(story, 0.2) == [SAY]


def test_a_limit_while_the_server_was_to_answer_the_caller_is_waited_for() -> None:
    story = asking()
    story.bridge.handle(ModelErrorReceived("rate_limit_exceeded", "", None, 8.0), story.now)
    assert after(story, 7.9) == []
    assert after(story, 0.2) == [CreateResponse()]


def test_a_refusal_because_of_a_response_that_nobody_knows_is_overcome() -> None:
    story = saying()
    story.bridge.handle(ModelErrorReceived(ALREADY_RESPONDING, "", request_id(2)), story.now)
    assert after(story, 0.6) == [SAY]


def test_a_cancellation_that_comes_too_late_frees_the_way() -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    cancel = CancelResponse("resp-1")
    assert story >> say_of(SAY, interrupt=True) << cancel
    refused = ModelErrorReceived("response_cancel_not_active", "", cancel.event_id)
    assert story >> refused << Log("warning", "model error", f"{refused.code}: ") << SAY


def test_a_cancellation_that_nobody_confirms_is_not_waited_for_long() -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    assert story >> say_of(SAY, interrupt=True) << CancelResponse("resp-1") >> At(15.0) << SAY


def test_an_output_that_the_model_refuses_is_on_the_record() -> None:
    story = asking(config=CallConfig(tools=Tools(functions=(ORDER,))))
    for event in (
        ResponseStarted("resp-1"),
        FunctionCalled("resp-1", "call-1", "order", "{}"),
        done(),
        FunctionReturned("call-1", "{}", ok=True),
    ):
        story.bridge.handle(event, story.now)
    refused = ModelErrorReceived(
        "invalid_value", "unknown call", SendToolOutput("call-1", "").event_id
    )
    note = AddTimelineEntry("tool output refused", "invalid_value: unknown call")
    assert story >> refused << Log("warning", "model error", "invalid_value: unknown call") << note


# The budget.


@pytest.mark.parametrize(("told", "waits"), [(0.02, 0.5), (1.898, 1.898), (12.0, 12.0)])
def test_a_delay_that_the_server_names_is_kept(told: float, waits: float) -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    story.bridge.handle(replace(done("resp-1", "failed", "limit"), retry_after=told), story.now)
    assert after(story, waits - 0.01) == []
    assert after(story, 0.02) == [CreateResponse()]


def test_without_a_delay_from_the_server_the_pauses_grow() -> None:
    story = asking()
    pauses = []
    for number in range(1, MAX_ATTEMPTS):
        story.bridge.handle(ResponseStarted(f"resp-{number}"), story.now)
        story.bridge.handle(done(f"resp-{number}", "failed", "server_error"), story.now)
        began = story.now
        while not (sent := after(story, 0.1)):
            pass
        assert sent == [CreateResponse()]
        pauses.append(story.now - began)
    assert pauses == [
        pytest.approx(0.5, abs=0.15),
        pytest.approx(1, abs=0.15),
        pytest.approx(2, abs=0.15),
    ]


def test_a_delay_that_no_caller_would_wait_for_ends_the_call() -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    late = replace(done("resp-1", "failed", "limit"), retry_after=45.0)
    assert isinstance(story.bridge.handle(late, story.now)[-1], FailCall)


@pytest.mark.parametrize("code", FATAL_CODES)
def test_an_account_without_means_gets_no_second_attempt(code: str) -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    commands = story.bridge.handle(done(status="failed", detail=code), story.now)
    assert commands[-1] == FailCall("model_failed", f"answer to the caller: failed: {code}")


def test_a_reply_earns_the_next_failure_all_its_attempts() -> None:
    story = asking()
    for turn in range(5):
        if turn:
            story.bridge.handle(CallerSpeechStarted(f"more-{turn}"), story.now)
            story.bridge.handle(CallerSpeechStopped(f"more-{turn}"), story.now)
        for number in range(MAX_ATTEMPTS - 1):
            response = f"resp-{turn}-{number}"
            story.bridge.handle(ResponseStarted(response), story.now)
            story.bridge.handle(done(response, "failed", "server_error"), story.now)
            assert after(story, 4.0) == [CreateResponse()]
        story.bridge.handle(ResponseStarted(f"resp-{turn}"), story.now)
        story.bridge.handle(said(20, f"item-{turn}", f"resp-{turn}"), story.now)
        story.bridge.handle(done(f"resp-{turn}"), story.now)
        after(story, 1.0)


# Signs of life.


def signs() -> list[BridgeEvent]:
    return [
        ResponseProgressed("resp-1"),
        ResponseProgressed(None),
        words("What nobody hears."),
        AudioFinished("item-1"),
        FunctionCalled("resp-1", "call-1", "order", "{}"),
    ]


@pytest.mark.parametrize("sign", signs(), ids=str)
def test_any_event_of_the_response_is_a_sign_of_life(sign: BridgeEvent) -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    for _ in range(10):
        story.bridge.handle(sign, story.now)
        assert after(story, STALL_TIMEOUT - 1) == []


def test_an_event_of_another_response_is_none() -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    after(story, STALL_TIMEOUT - 1)
    story.bridge.handle(ResponseProgressed("resp-0"), story.now)
    assert ConnectModel(CallConfig()) in after(story, 2.0)


def stall_notes(why: str, purpose: str = "answer to the caller") -> tuple[Log, AddTimelineEntry]:
    log, note = failure_notes(why, purpose)
    return log, replace(note, detail=f"{note.detail} in a new session")


SILENT_SESSION = Log("warning", "model session lost", "it sent no event")


def test_a_response_that_stalls_is_asked_for_again_in_a_new_session() -> None:
    log, note = stall_notes("stalled: no event for 15 s")
    assert (
        asking()
        >> ResponseStarted("resp-1")
        >> At(24.9)
        >> At(25.0)
        << log
        << note
        << caller_turn(2, "", 10_000, 10_000)
        << SILENT_SESSION
        << ConnectModel(CallConfig())
        >> said(20, "late")
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> done()
    )


def test_a_response_that_never_starts_is_asked_for_again_in_a_new_session() -> None:
    log, note = stall_notes("no response began within 15 s", "say")
    story = saying()
    assert (
        story >> At(24.9) >> At(25.0) << log << note << SILENT_SESSION << ConnectModel(CallConfig())
    )
    assert SAY in reconnect(story)


def reconnect(story: Playbook) -> list[BridgeCommand]:
    """Return what the bridge does as soon as the next session is ready."""
    story.bridge.handle(ModelConnected(), story.now)
    return story.bridge.handle(ModelReady(), story.now)


def test_a_model_that_stalls_again_ends_the_call_and_not_sooner() -> None:
    story = asking(CLIPS)
    assert ConnectModel(CallConfig()) in after(story, 19.0)
    assert CreateResponse() in reconnect(story)
    commands = after(story, 60.0)
    assert (
        FailCall("model_stalled", "answer to the caller: no response began within 15 s") in commands
    )


def test_an_mcp_call_may_take_its_time() -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    story.bridge.handle(McpCalled("resp-1", "item-7", "find"), story.now)
    assert after(story, MCP_STALL_TIMEOUT - 0.1) == []
    story.bridge.handle(McpReturned("item-7", ok=True), story.now)
    assert after(story, STALL_TIMEOUT - 0.1) == []
    assert ConnectModel(CallConfig()) in after(story, 0.2)


def test_a_reply_that_breaks_off_within_a_sentence_is_finished_in_a_new_session() -> None:
    story = asking()
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    for event in (words("One"), said(300)):
        story.bridge.handle(event, story.now)
    assert stall_notes("stalled: no event for 15 s")[1] in after(story, 16.0)
    commands = reconnect(story)
    [restored] = [each for each in commands if isinstance(each, RestoreHistory)]
    assert finish_sentence("One") in str(restored.items[-1])
    assert commands[-1] == CreateResponse()


def test_a_whole_reply_whose_end_is_not_told_is_not_asked_for_again() -> None:
    story = asking()
    for event in (ResponseStarted("resp-1"), said(20), AudioFinished("item-1")):
        story.bridge.handle(event, story.now)
    commands = after(story, 60.0)
    assert CancelResponse("resp-1") in commands
    assert not [each for each in commands if isinstance(each, CreateResponse | FailCall)]


# Clips.


def test_a_caller_who_waits_for_another_attempt_hears_the_filler_as_a_turn_of_the_agent() -> None:
    story = asking(CLIPS)
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    story.bridge.handle(replace(done("resp-1", "failed", "limit"), retry_after=4.0), story.now)
    assert (
        story
        >> At(12.4)
        >> At(12.6)
        << play(100, 0x33)
        << agent_turn(3, FILLER.words, 12_500, 12_600)
        << AddMessage(Role.ASSISTANT, FILLER.words)
        >> At(14.0)
        << CreateResponse()
        >> ResponseStarted("resp-2")
        >> said(20, response="resp-2")
        << play(20)
    )


def test_a_quick_retry_needs_no_filler() -> None:
    story = asking(CLIPS)
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    story.bridge.handle(done(status="failed"), story.now)
    assert after(story, 1.0) == [CreateResponse()]
    story.bridge.handle(ResponseStarted("resp-2"), story.now)
    story.bridge.handle(said(20, response="resp-2"), story.now)
    story.bridge.handle(done("resp-2"), story.now)
    assert play(100, 0x33) not in after(story, 60.0)


def test_a_model_that_is_at_work_for_long_is_bridged_by_the_filler_again_and_again() -> None:
    story = asking(CLIPS)
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    fillers = 0
    for _ in range(35):
        story.bridge.handle(ResponseProgressed("resp-1"), story.now)
        fillers += after(story, 1.0).count(play(100, 0x33))
    assert fillers == 3


def test_the_filler_can_be_interrupted() -> None:
    story = asking(CLIPS)
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    assert (
        story
        >> At(16.05)
        << play(100, 0x33)
        >> CallerSpeechStarted("user-2")
        << ClearPlayback()
        << CancelResponse("resp-1")
        << agent_turn(3, "One", 16_000, 16_050, interrupted=True, unheard="moment, please.")
        << AddMessage(Role.ASSISTANT, "One")
    )


def test_there_is_no_filler_for_what_the_caller_does_not_know_of() -> None:
    story = greeted_call(CLIPS)
    story.bridge.handle(say_of(SAY), story.now)
    assert play(100, 0x33) not in after(story, 14.0)


def give_up(story: Playbook) -> list[BridgeCommand]:
    story.bridge.handle(ResponseStarted("resp-1"), story.now)
    return unmarked(story.bridge.handle(done(status="failed", detail=FATAL_CODES[0]), story.now))


END = FailCall("model_failed", f"answer to the caller: failed: {FATAL_CODES[0]}")


def test_a_call_that_cannot_go_on_ends_after_the_apology() -> None:
    story = asking(CLIPS)
    assert play(100, 0x44) in give_up(story)
    assert (
        story
        >> At(10.35)
        << agent_turn(3, APOLOGY.words, 10_000, 10_100)
        << AddMessage(Role.ASSISTANT, APOLOGY.words)
        >> ResponseStarted("resp-2")
        << CancelResponse("resp-2")
    )
    assert END in after(story, 1.0)


def test_a_caller_who_interrupts_the_apology_ends_it_and_the_call() -> None:
    story = asking(CLIPS)
    give_up(story)
    story.now = 10.05
    commands = story.bridge.handle(CallerSpeechStarted("user-2"), story.now)
    assert commands[0] == ClearPlayback()
    assert END in after(story, 1.0)


def test_a_caller_who_hangs_up_during_the_apology_leaves_a_failed_call() -> None:
    story = asking(CLIPS)
    give_up(story)
    story.now = 10.05
    commands = story.bridge.handle(StreamStopped(), story.now)
    [failed] = [each for each in commands if isinstance(each, FailCall)]
    assert failed == END
    assert failed.seconds_ago == pytest.approx(0.05)


def test_nothing_is_requested_of_the_model_during_the_apology() -> None:
    story = asking(CLIPS)
    give_up(story)
    assert story >> say_of(SAY) >> Mute(Side.AGENT, False)


def test_a_session_that_is_lost_ends_the_call_after_the_apology() -> None:
    story = greeted_call(CLIPS)
    story.bridge.handle(ModelClosed(3000, ""), story.now)
    story.bridge.handle(ModelClosed(3000, ""), story.now)
    commands = after(story, 1.0)
    assert commands[-1] == FailCall("model_lost", "the model's server closed with 3000")


def test_a_session_that_never_becomes_ready_ends_the_call_after_the_apology() -> None:
    story = Playbook(Bridge(CALL, CallConfig(), ModelAudio.G711, 0.0, clips=CLIPS))
    assert story >> STARTED
    after(story, 11.9)
    commands = after(story, 1.0)
    assert commands[0] == play(100, 0x44)
    assert commands[-1] == FailCall("model_timeout", "the model session did not become ready")


def test_last_words_that_fail_end_the_call_as_planned() -> None:
    story = greeted_call(CLIPS)
    story.bridge.handle(HangUpRequested(EndedBy.API, exact_text="Goodbye!"), story.now)
    commands: list[BridgeCommand] = []
    for number in range(MAX_ATTEMPTS):
        story.bridge.handle(ResponseStarted(f"resp-{number}"), story.now)
        commands += story.bridge.handle(done(f"resp-{number}", "failed", "x"), story.now)
        commands += after(story, 3.0)
    assert AddTimelineEntry("not spoken", "last words: failed: x") in commands
    assert EndCall(EndedBy.API) in commands


# Whatever the model does.

MODEL = st.one_of(
    st.just("starts"),
    st.just("speaks"),
    st.just("writes"),
    st.just("calls"),
    st.tuples(
        st.just("ends"),
        st.sampled_from(["completed", "incomplete", "failed", "cancelled", "odd"]),
        st.sampled_from(["", "content_filter", "server_error", "rate_limit_exceeded"]),
        st.sampled_from([None, 0.02, 1.9, 20.0, 600.0]),
    ),
    st.tuples(
        st.just("refuses"),
        st.sampled_from(["server_error", "rate_limit_exceeded", ALREADY_RESPONDING, "odd"]),
        st.sampled_from(["ours", "of another", "nobody's"]),
        st.sampled_from([None, 1.9]),
    ),
    st.tuples(st.just("waits"), st.floats(0.1, 20.0)),
)


class Server:
    """A model that does whatever it likes after a caller's turn."""

    def __init__(self, clips: SpeechClips, story: Playbook) -> None:
        self.story = story
        self.count = 0
        self.requests: list[CreateResponse] = []
        self.running: str | None = None
        self.got: str | None = None
        self.clips = {play(100, 0x33), play(100, 0x44)}

    def take(self, commands: Iterable[BridgeCommand]) -> None:
        for command in unmarked(commands):
            match command:
                case CreateResponse():
                    self.requests.append(command)
                case CancelResponse(response_id) if response_id == self.running:
                    self.running = None
                case PlayAudio() if command not in self.clips:
                    self.got = self.got or "sound"
                case RunFunction():
                    self.got = self.got or "a tool call"
                case FailCall() | EndCall():
                    self.got = self.got or "an end"

    def tell(self, event: BridgeEvent) -> None:
        self.take(self.story.bridge.handle(event, self.story.now))

    def wait(self, seconds: float) -> None:
        self.take(after(self.story, seconds))

    def do(self, what: str | tuple[object, ...]) -> None:
        match what:
            case "starts":
                self.count += 1
                self.running = f"resp-{self.count}"
                self.tell(ResponseStarted(self.running))
            case "speaks" if self.running:
                self.tell(said(20, f"item-{self.count}", self.running))
            case "writes" if self.running:
                self.tell(words("Words.", f"item-{self.count}", self.running))
            case "calls" if self.running:
                self.tell(FunctionCalled(self.running, f"call-{self.count}", "order", "{}"))
            case ("ends", str(status), str(detail), delay) if self.running:
                ended, self.running = self.running, None
                self.tell(replace(done(ended, status, detail), retry_after=_seconds(delay)))
            case ("refuses", str(code), whose, delay):
                names = {"ours": self.requests[-1].event_id if self.requests else "?"}
                event_id = {**names, "of another": "update-9", "nobody's": None}[str(whose)]
                self.tell(ModelErrorReceived(code, "", event_id, _seconds(delay)))
            case ("waits", float(seconds)):
                self.wait(seconds)


def _seconds(delay: object) -> float | None:
    return delay if isinstance(delay, float) else None


MAX_WAIT_SECONDS = 200.0


@settings(max_examples=400, deadline=None)
@given(st.lists(MODEL, max_size=25), st.sampled_from([SpeechClips(), CLIPS]))
def test_after_a_turn_of_the_caller_something_follows_within_a_bounded_time(
    doings: list[str | tuple[object, ...]], clips: SpeechClips
) -> None:
    config = CallConfig(tools=Tools(functions=(ORDER,)))
    server = Server(clips, asking(clips, config))
    for doing in doings:
        if server.got:
            break
        server.do(doing)
    server.wait(MAX_WAIT_SECONDS)
    assert server.got
    if server.got != "a tool call":
        assert len(server.requests) <= MAX_ATTEMPTS + 1


@settings(max_examples=200, deadline=None)
@given(st.lists(MODEL, max_size=40))
def test_every_function_call_gets_exactly_one_output(
    doings: list[str | tuple[object, ...]],
) -> None:
    story = asking(config=CallConfig(tools=Tools(functions=(ORDER,))))
    server = Server(SpeechClips(), story)
    answered: list[str] = []
    called: set[str] = set()
    ended = False

    def take(commands: Iterable[BridgeCommand]) -> None:
        nonlocal ended
        for command in commands:
            match command:
                case SendToolOutput(call_id):
                    answered.append(call_id)
                case RunFunction(call_id):
                    take(story.bridge.handle(FunctionReturned(call_id, "{}", True), story.now))
                case FailCall():
                    ended = True

    taken = server.take

    def take_both(commands: Iterable[BridgeCommand]) -> None:
        commands = list(commands)
        taken(commands)
        take(commands)

    server.take = take_both  # type: ignore[method-assign]
    for doing in doings:
        if doing == "calls" and server.running:
            called.add(f"call-{server.count}")
        server.do(doing)
    if server.running:
        server.do(("ends", "completed", "", None))
    server.wait(60.0)
    assert len(answered) == len(set(answered))
    assert set(answered) <= called
    assert ended or set(answered) == called
