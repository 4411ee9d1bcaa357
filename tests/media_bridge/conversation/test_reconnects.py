"""Sessions of the model that are lost in the middle of a call, and the history that the next
session receives."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    AddToolCall,
    AppendAudio,
    BridgeCommand,
    CancelResponse,
    ConfigureModel,
    ConnectModel,
    CountReconnect,
    CreateResponse,
    EndCall,
    FailCall,
    Log,
    RecordTurn,
    RestoreHistory,
    Role,
    RunFunction,
    SendToolOutput,
    TransferCall,
    TruncateItem,
    UpdateSession,
)
from media_bridge.conversation.gap_prompt import SILENCE_SECONDS
from media_bridge.conversation.history import finish_sentence, history_of
from media_bridge.conversation.reconnects import (
    MAX_ATTEMPTS,
    MAX_LOSSES,
    TIMEOUT_SECONDS,
    LossReason,
    ReconnectBudget,
    is_final,
    reason_of,
)
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    ConnectFailed,
    DigitPressed,
    HangUpRequested,
    ModelClosed,
    ModelConnected,
    ModelErrorReceived,
    ModelReady,
    ResponseProgressed,
    ResponseStarted,
    SettingsUpdated,
)
from media_bridge.speech.caller_audio import RECENT_AUDIO_SECONDS
from media_bridge.speech.clips import SpeechClip, SpeechClips
from media_bridge.tool_events import FunctionCalled, FunctionReturned
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.steering import Mute, Say, Side, StartTransfer, Update
from phonebridge.call.tools import HttpsFunction, Tools
from phonebridge.call.turn import Speaker, Turn
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
    sound,
    words,
)
from tests.support.playbook import At, Playbook, pass_time, unmarked

CONFIG = CallConfig(language="en")
ORDER = HttpsFunction(
    name="order", description="Orders.", parameters="{}", url="https://shop.example/order"
)
CLIPS = SpeechClips(SpeechClip("One moment, please.", sound(100, 0x33)), None)
CLOSED = ModelClosed(1011, "internal error")
WHY = "the model's server closed with 1011 internal error"
LOST = Log("warning", "model session lost", WHY)
FINAL_CODES = [3000, 4000, 4004]


def call_of(
    config: CallConfig = CONFIG,
    clips: SpeechClips = SpeechClips(),  # noqa: B008
) -> Playbook:
    """Return a call whose model has just been asked to greet."""
    return ready_call(config=config, clips=clips)


def greeted_call(
    config: CallConfig = CONFIG,
    clips: SpeechClips = SpeechClips(),  # noqa: B008
) -> Playbook:
    """The greeting has been played at 2 s."""
    story = call_of(config, clips)
    events = (ResponseStarted("greeting"), words("Hello!", "item-0", "greeting"))
    do(story, *events, said(500, "item-0", "greeting"), AudioFinished("item-0"), done("greeting"))
    wait(story, 2.0)
    return story


def waiting_call(config: CallConfig = CONFIG) -> Playbook:
    """The caller has spoken at 2 s, and waits for the answer."""
    story = greeted_call(config)
    do(
        story,
        CallerSpeechStarted("user-1"),
        CallerSpeechStopped("user-1"),
        CallerTranscribed("user-1", "Soup, please."),
    )
    return story


def do(story: Playbook, *events: BridgeEvent) -> list[BridgeCommand]:
    return [each for event in events for each in unmarked(story.bridge.handle(event, story.now))]


def wait(story: Playbook, seconds: float) -> list[BridgeCommand]:
    until = story.now + seconds
    commands = [command for _, command in pass_time(story.bridge, story.now, until)]
    story.now = until
    return commands


def reconnect(story: Playbook) -> list[BridgeCommand]:
    """What the bridge does when the next session is ready."""
    return do(story, ModelConnected(), ModelReady())


def restored_texts(commands: list[BridgeCommand]) -> list[str]:
    """The conversation that the session starts with, without the last message."""
    history = next((each for each in commands if isinstance(each, RestoreHistory)), None)
    return [_text(item) for item in history.items[:-1]] if history else []


def _text(item: AddMessage | AddToolCall | SendToolOutput) -> str:
    match item:
        case AddMessage(role, text):
            return f"{role}: {text}"
        case AddToolCall(call_id, name):
            return f"{call_id}: {name}"
        case SendToolOutput(call_id, output):
            return f"{call_id} -> {output}"


def requests(commands: list[BridgeCommand]) -> list[CreateResponse]:
    return [each for each in commands if isinstance(each, CreateResponse)]


# When another session is opened.


def test_a_lost_session_is_replaced_at_once_and_told_what_was_said() -> None:
    assert (
        greeted_call()
        >> At(2.5)
        >> CLOSED
        << LOST
        << ConnectModel(CONFIG)
        >> At(2.9)
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << AddTimelineEntry("model reconnected", f"after 400 ms: {WHY}")
        << CountReconnect("closed", 400)
        << RestoreHistory(
            history_of([turn_of(1, Speaker.AGENT, "Hello!")], Resume(), (), "en").items
        )
        >> frame(1)
        << AppendAudio(frame(1).payload)
    )


def turn_of(number: int, who: Speaker, text: str) -> Turn:
    return Turn(number=number, who=who, text=text, started_ms=0, ended_ms=500)


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1008, 1011, 1012, 1013, 4001, 4999])
def test_any_other_code_than_the_final_ones_is_followed_by_another_session(code: int) -> None:
    assert ConnectModel(CONFIG) in do(greeted_call(), ModelClosed(code, ""))


@pytest.mark.parametrize("code", FINAL_CODES)
def test_a_final_code_ends_the_call(code: int) -> None:
    [*_, end] = do(greeted_call(), ModelClosed(code, ""))
    assert end == FailCall("model_lost", f"the model's server closed with {code}")


@pytest.mark.parametrize(
    "event",
    [
        *(ModelClosed(code, "") for code in FINAL_CODES),
        ModelClosed(1008, "insufficient_quota"),
        ConnectFailed("refused", 401),
        ConnectFailed("refused", 403),
        ConnectFailed("billing_hard_limit_reached", 429),
    ],
)
def test_what_another_attempt_cannot_change_is_final(
    event: ModelClosed | ConnectFailed,
) -> None:
    assert is_final(event)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (ModelClosed(1011, ""), LossReason.CLOSED),
        (ModelClosed(1006, ""), LossReason.RESET),
        (ModelClosed(1001, "peer has not replied to ping/heartbeat"), LossReason.UNANSWERED_PING),
    ],
)
def test_a_loss_has_a_reason_for_the_metrics(event: ModelClosed, reason: LossReason) -> None:
    assert not is_final(event)
    assert reason_of(event) is reason


def test_attempts_that_fail_follow_each_other_with_a_growing_back_off() -> None:
    story = greeted_call()
    do(story, CLOSED)
    begins = [0.0]
    for _ in range(MAX_ATTEMPTS - 1):
        do(story, ConnectFailed("busy", 503))
        for now, command in pass_time(story.bridge, story.now, story.now + 5.0):
            assert command == ConnectModel(CONFIG)
            begins.append(now - 2.0)
            story.now = now
    pauses = [after - before for before, after in zip(begins, begins[1:], strict=False)]
    for pause, least in zip(pauses, (0.5, 1.0, 2.0), strict=True):
        assert least <= pause <= least * 1.25
    assert do(story, ConnectFailed("busy", 503))[-1] == FailCall("model_lost", "busy")


def test_a_server_is_asked_again_when_it_wants_to_be() -> None:
    story = greeted_call()
    do(story, CLOSED, ConnectFailed("busy", 429, retry_after=3.0))
    assert wait(story, 2.9) == []
    assert wait(story, 0.2) == [ConnectModel(CONFIG)]


def test_a_server_that_wants_too_long_a_pause_ends_the_call() -> None:
    story = greeted_call()
    do(story, CLOSED)
    ended = do(story, ConnectFailed("busy", 429, retry_after=TIMEOUT_SECONDS))
    assert ended == [FailCall("model_lost", "busy")]


def test_a_server_that_accepts_and_closes_again_and_again_ends_the_call() -> None:
    story = greeted_call()
    for _ in range(MAX_LOSSES):
        do(story, CLOSED)
        wait(story, 1.1)
        reconnect(story)
    assert do(story, CLOSED) == [FailCall("model_lost", WHY)]


def test_a_session_that_does_not_become_ready_is_replaced_too() -> None:
    story = greeted_call()
    do(story, CLOSED)
    assert ConnectModel(CONFIG) in wait(story, 7.0)
    assert isinstance(wait(story, 6.0)[-1], FailCall)


@given(call_id=st.text(min_size=1), losses=st.integers(1, MAX_LOSSES))
def test_no_budget_allows_more_than_its_attempts_or_waits_longer_than_a_second_for_the_first(
    call_id: str, losses: int
) -> None:
    budget = ReconnectBudget(call_id)
    for _ in range(losses):
        budget.lose()
    first = budget.delay(None)
    assert first is not None
    assert first <= 1.0
    budget.attempts = MAX_ATTEMPTS
    assert budget.delay(None) is None


def test_a_temporary_error_before_the_session_is_ready_is_no_refusal() -> None:
    story = Playbook(Bridge(CALL, CONFIG, ModelAudio.G711, 0.0))
    do(story, STARTED, ModelConnected(), ModelErrorReceived("server_error", "Oops."))
    assert ConnectModel(CONFIG) in wait(story, 1.0)


# What was going on.


def test_while_the_first_session_is_connecting() -> None:
    story = Playbook(Bridge(CALL, CONFIG, ModelAudio.G711, 0.0))
    do(story, STARTED, ConnectFailed("busy", 429))
    assert wait(story, 1.0) == [ConnectModel(CONFIG)]
    assert requests(reconnect(story)) == [CreateResponse()]


def test_while_the_greeting_is_prepared_it_is_asked_for_again() -> None:
    greeting = CallConfig(greeting="Good morning!")
    story = call_of(greeting)
    do(story, ResponseStarted("resp-1"), CLOSED)
    commands = reconnect(story)
    assert restored_texts(commands) == []
    assert requests(commands) == [CreateResponse("Good morning!")]


def test_while_the_greeting_is_heard_it_is_finished() -> None:
    story = call_of()
    do(story, ResponseStarted("resp-1"), words("Good morning"), said(1000), CLOSED)
    heard = wait(story, 1.5)
    assert agent_turn(1, "Good morning", 0, 1000, interrupted=True) in heard
    commands = reconnect(story)
    [history] = [each for each in commands if isinstance(each, RestoreHistory)]
    assert restored_texts(commands) == ["assistant: Good morning"]
    assert finish_sentence("Good morning") in _text(history.items[-1])
    assert requests(commands) == [CreateResponse()]


def test_while_the_caller_speaks_their_latest_words_are_heard_by_the_next_session() -> None:
    story = greeted_call()
    do(story, frame(1, 0x51), CallerSpeechStarted("user-1"), frame(2, 0x52))
    assert requests(do(story, CLOSED)) == []
    do(story, frame(3, 0x53))
    commands = reconnect(story)
    [audio] = [each for each in commands if isinstance(each, AppendAudio)]
    assert audio.audio == sound(20, 0x51) + sound(20, 0x52) + sound(20, 0x53)
    assert requests(commands) == [], "the server answers what it hears"
    do(story, CallerSpeechStarted("user-1b"), CallerSpeechStopped("user-1b"))
    turns = do(story, CallerTranscribed("user-1b", "Soup, please."))
    assert turns == [caller_turn(2, "Soup, please.", 2000, 2000)]


def test_a_caller_whose_speech_the_next_session_does_not_detect_is_answered_all_the_same() -> None:
    story = greeted_call()
    do(story, CallerSpeechStarted("user-1"), CLOSED)
    assert requests(reconnect(story)) == []
    assert requests(wait(story, 4.0)) == [CreateResponse()]


def test_the_audio_of_a_long_gap_has_a_limit() -> None:
    story = greeted_call()
    do(story, CLOSED)
    for number in range(1, 500):
        story.now += 0.02
        do(story, frame(number))
        list(pass_time(story.bridge, story.now, story.now))
    [audio] = [each for each in reconnect(story) if isinstance(each, AppendAudio)]
    assert len(audio.audio) == RECENT_AUDIO_SECONDS * 8_000


LOUD, QUIET = 0x10, 0xFF
DEAF = ModelClosed(1001, "peer has not replied to ping/heartbeat")


def send_frames(story: Playbook, codes: list[int]) -> None:
    """Send the caller's frames in their time. The server answers nothing."""
    first = round(story.now * 50)
    for number, code in enumerate(codes, first):
        story.now += 0.02
        do(story, frame(number, code))
        list(pass_time(story.bridge, story.now, story.now))


def test_a_server_that_read_nothing_any_more_is_told_in_its_next_session_what_it_missed() -> None:
    story = greeted_call()
    send_frames(story, [QUIET] * 100 + [LOUD] * 50 + [QUIET] * 100)
    do(story, DEAF)
    commands = reconnect(story)
    [audio] = [each for each in commands if isinstance(each, AppendAudio)]
    assert audio.audio.count(LOUD) == 50 * 160
    assert requests(commands) == [], "the server answers what it hears"
    assert requests(wait(story, 4.0)) == [CreateResponse()]


def test_a_server_that_read_nothing_any_more_is_told_nothing_twice() -> None:
    """It has answered the first words, and heard nothing of the second ones."""
    story = greeted_call()
    send_frames(story, [LOUD] * 25)
    do(story, CallerSpeechStarted("user-1"))
    send_frames(story, [LOUD] * 25 + [QUIET] * 25)
    do(story, CallerSpeechStopped("user-1"), ResponseStarted("resp-1"), said(100), done())
    send_frames(story, [LOUD] * 10)
    do(story, DEAF)
    [audio] = [each for each in reconnect(story) if isinstance(each, AppendAudio)]
    assert audio.audio.count(LOUD) == 10 * 160


@pytest.mark.parametrize("code", [LOUD, QUIET])
def test_only_a_server_that_read_nothing_any_more_has_missed_anything(code: int) -> None:
    story = greeted_call()
    send_frames(story, [code] * 50)
    do(story, DEAF if code == QUIET else CLOSED)
    commands = reconnect(story)
    assert not [each for each in commands if isinstance(each, AppendAudio)]
    assert requests(commands + wait(story, 4.0)) == []


def test_while_the_caller_waits_the_answer_is_asked_for_once() -> None:
    story = waiting_call()
    assert requests(do(story, CLOSED)) == []
    commands = reconnect(story)
    assert restored_texts(commands) == ["assistant: Hello!", "user: Soup, please."]
    assert requests(commands) == [CreateResponse()]
    assert requests(wait(story, 10.0)) == []


def test_a_caller_whose_words_were_never_written_down_is_asked_to_repeat_them() -> None:
    story = greeted_call()
    do(story, CallerSpeechStarted("user-1"), CallerSpeechStopped("user-1"))
    assert caller_turn(2, "", 2000, 2000) in do(story, CLOSED)
    commands = reconnect(story)
    [history] = [each for each in commands if isinstance(each, RestoreHistory)]
    assert "Ask the caller to say them again" in _text(history.items[-1])
    assert requests(commands) == [CreateResponse()]


def test_while_the_agent_speaks_what_has_come_is_played_and_the_rest_is_asked_for() -> None:
    """The session is back before everything that it had sent was played."""
    story = waiting_call()
    do(story, ResponseStarted("resp-1"), words("It will take ten minutes"), said(1000))
    do(story, CLOSED)
    commands = reconnect(story)
    assert restored_texts(commands) == ["assistant: Hello!", "user: Soup, please."]
    assert requests(commands) == []
    following = wait(story, 1.5)
    [turn] = [each.turn for each in following if isinstance(each, RecordTurn)]
    assert turn.interrupted
    assert [each for each in following if isinstance(each, AddMessage | CreateResponse)] == [
        AddMessage(Role.ASSISTANT, turn.text),
        AddMessage(Role.SYSTEM, finish_sentence(turn.text)),
        CreateResponse(),
    ]


def test_a_caller_who_interrupts_a_reply_of_a_lost_session_is_not_told_the_rest() -> None:
    story = waiting_call()
    do(story, ResponseStarted("resp-1"), words("It will take ten minutes"), said(2000), CLOSED)
    reconnect(story)
    wait(story, 0.5)
    commands = do(story, CallerSpeechStarted("user-2"))
    assert not [each for each in commands if isinstance(each, TruncateItem | CancelResponse)]
    assert requests(wait(story, 5.0)) == []


def test_a_reply_that_had_come_whole_is_played_and_nothing_is_asked_for() -> None:
    story = waiting_call()
    do(story, ResponseStarted("resp-1"), words("Ten minutes."), said(1000))
    do(story, AudioFinished("item-1"), CLOSED)
    assert requests([*reconnect(story), *wait(story, 5.0)]) == []


def test_while_a_tool_runs_its_output_comes_with_the_call() -> None:
    story = waiting_call(CallConfig(tools=Tools(functions=(ORDER,))))
    call_id = "call-with-an-id-that-is-longer-than-32-characters"
    called = FunctionCalled("resp-1", call_id, "order", '{"dish":"soup"}')
    assert any(
        isinstance(each, RunFunction)
        for each in do(story, ResponseStarted("resp-1"), called, done())
    )
    do(story, CLOSED)
    assert requests(reconnect(story)) == []
    call, output, *_, request = do(story, FunctionReturned(call_id, '{"ok":true}', True))
    assert isinstance(call, AddToolCall)
    assert isinstance(output, SendToolOutput)
    assert (call.name, call.arguments) == ("order", '{"dish":"soup"}')
    assert call.call_id == output.call_id
    assert len(call.call_id) <= 32
    assert request == CreateResponse()


def test_a_tool_that_returns_during_the_gap_stands_in_the_history() -> None:
    story = waiting_call(CallConfig(tools=Tools(functions=(ORDER,))))
    do(story, ResponseStarted("resp-1"), FunctionCalled("resp-1", "call-1", "order", "{}"), done())
    gap = do(story, CLOSED, FunctionReturned("call-1", '{"ok":true}', True))
    assert not [each for each in gap if isinstance(each, SendToolOutput)]
    commands = reconnect(story)
    assert restored_texts(commands)[-2:] == ["call-1: order", 'call-1 -> {"ok":true}']
    assert requests(commands) == [CreateResponse()]


def test_while_the_goodbye_is_awaited_it_is_asked_for_again_and_the_call_ends_after_it() -> None:
    story = greeted_call()
    goodbye = CreateResponse(exact_text="Goodbye!")
    assert do(story, HangUpRequested(EndedBy.API, "Goodbye!")) == [goodbye]
    do(story, CLOSED)
    assert requests(reconnect(story)) == [goodbye]
    do(story, ResponseStarted("resp-1"), said(100), AudioFinished("item-1"), done())
    assert EndCall(EndedBy.API) in wait(story, 2.0)


def test_while_the_agent_is_muted_it_stays_so() -> None:
    story = greeted_call()
    do(story, Mute(Side.AGENT, True), CLOSED)
    assert requests(reconnect(story)) == []
    do(story, Say(words="Hi.", instruction=None))
    assert requests(do(story, Mute(Side.AGENT, False))) == [CreateResponse(exact_text="Hi.")]


def test_keys_that_were_pressed_reach_the_next_session_even_if_the_record_hides_them() -> None:
    story = greeted_call(CallConfig(record_dtmf=False))
    do(story, DigitPressed("4"), DigitPressed("#"))
    do(story, CLOSED)
    commands = reconnect(story)
    assert "user: The caller pressed 4 # on the keypad." in restored_texts(commands)
    assert requests(commands) == [CreateResponse()]


def test_keys_that_are_pressed_during_the_gap_are_answered_after_it() -> None:
    story = greeted_call()
    do(story, CLOSED, DigitPressed("4"), DigitPressed("#"))
    commands = reconnect(story)
    assert "user: The caller pressed 4 # on the keypad." in restored_texts(commands)
    assert requests(commands) == [CreateResponse()]


def test_a_transfer_that_was_begun_goes_on() -> None:
    story = greeted_call()
    transfer = StartTransfer(to="+15550100", summary="Wants soup.")
    assert TransferCall("+15550100", "Wants soup.") in [*do(story, transfer), *wait(story, 1.0)]
    do(story, CLOSED)
    assert requests([*reconnect(story), *wait(story, 5.0)]) == []


def test_an_update_that_was_not_confirmed_is_sent_to_the_next_session() -> None:
    story = greeted_call()
    update = Update(instructions="Be brief.")
    assert do(story, update) == [UpdateSession(update)]
    assert ConnectModel(CONFIG) in do(story, CLOSED)
    assert UpdateSession(update) in reconnect(story)


def test_an_update_that_was_confirmed_is_in_force_in_the_next_session() -> None:
    story = greeted_call()
    changed = replace(CONFIG, instructions="Be brief.")
    do(story, Update(instructions="Be brief."), SettingsUpdated(changed, ("instructions",)))
    assert ConnectModel(changed) in do(story, CLOSED)
    assert not [each for each in reconnect(story) if isinstance(each, UpdateSession)]


def test_what_the_api_wants_said_during_the_gap_is_said_after_it() -> None:
    story = greeted_call()
    do(story, CLOSED, Say(words="Hi.", instruction=None))
    assert requests(reconnect(story)) == [CreateResponse(exact_text="Hi.")]


def test_a_session_lost_before_the_stream_starts_greets_nobody_twice_and_nobody_never() -> None:
    story = Playbook(Bridge(CALL, CONFIG, ModelAudio.G711, 0.0))
    ringing = replace(CALL, has_early_stream=True, stream_number=1, attached_stream=1)
    story.bridge = Bridge(ringing, CONFIG, ModelAudio.G711, 0.0)
    do(story, ModelConnected(), ModelReady(), CLOSED, STARTED)
    assert requests(reconnect(story)) == [CreateResponse()]
    do(story, CLOSED)
    wait(story, 0.5)
    assert requests(reconnect(story)) == [CreateResponse()], "it was not heard"


def test_a_tool_that_takes_long_in_the_gap_gets_no_filler_from_a_model_that_is_not_there() -> None:
    slow = replace(ORDER, filler="Let me look.")
    story = waiting_call(CallConfig(tools=Tools(functions=(slow,))))
    do(story, ResponseStarted("resp-1"), FunctionCalled("resp-1", "call-1", "order", "{}"), done())
    do(story, CLOSED)
    wait(story, 5.0)
    assert requests(reconnect(story)) == []


# The gap.


def test_a_gap_of_more_than_700_ms_is_bridged_by_the_filler() -> None:
    story = greeted_call(clips=CLIPS)
    do(story, CLOSED)
    assert wait(story, 0.6) == []
    assert play(100, 0x33) in wait(story, 0.2)
    wait(story, 1.0)
    assert restored_texts(reconnect(story)) == [
        "assistant: Hello!",
        "assistant: One moment, please.",
    ]


def test_a_short_gap_is_silent() -> None:
    story = greeted_call(clips=CLIPS)
    do(story, CLOSED)
    wait(story, 0.5)
    reconnect(story)
    assert play(100, 0x33) not in wait(story, 5.0)


def test_nothing_is_played_over_a_caller_who_speaks() -> None:
    story = greeted_call(clips=CLIPS)
    do(story, CallerSpeechStarted("user-1"), CLOSED)
    assert play(100, 0x33) not in wait(story, 2.0)


OLD_EVENTS: list[BridgeEvent] = [
    said(500, "item-9", "resp-9"),
    words("Late.", "item-9", "resp-9"),
    ResponseStarted("resp-9"),
    ResponseProgressed("resp-9"),
    done("resp-9"),
    CallerSpeechStarted("user-9"),
    CallerTranscribed("user-9", "Late."),
    FunctionCalled("resp-9", "call-9", "order", "{}"),
    SettingsUpdated(replace(CONFIG, instructions="Late."), ("instructions",)),
    ModelErrorReceived("server_error", "Late."),
]


@pytest.mark.parametrize("event", OLD_EVENTS, ids=lambda event: type(event).__name__)
def test_events_of_a_session_that_was_given_up_change_nothing(event: BridgeEvent) -> None:
    story = waiting_call()
    assert ConnectModel(CONFIG) in wait(story, 25.0), "the answer never came"
    for _ in range(2):
        do(story, ConnectFailed("busy", 503))
    assert do(story, event) == []
    wait(story, 1.5)
    assert restored_texts(reconnect(story)) == ["assistant: Hello!", "user: Soup, please."]


# Another stream of the same call.

EARLIER = (
    turn_of(1, Speaker.AGENT, "Hello!"),
    turn_of(2, Speaker.CALLER, "Soup, please."),
)


def resume_call(turns: tuple[Turn, ...], resume: Resume) -> Playbook:
    call = replace(CALL, stream_number=2, attached_stream=2)
    greeting = replace(CONFIG, greeting="Good morning!")
    history = history_of(turns, resume)
    return Playbook(Bridge(call, greeting, ModelAudio.G711, 0.0, history=history))


def test_another_stream_goes_on_where_the_one_before_stopped() -> None:
    story = resume_call(EARLIER, Resume())
    do(story, STARTED)
    commands = reconnect(story)
    assert restored_texts(commands) == ["assistant: Hello!", "user: Soup, please."]
    assert requests(commands) == [CreateResponse()]
    assert not [each for each in commands if isinstance(each, AddTimelineEntry)]


def test_another_stream_does_not_speak_at_once_where_the_caller_waits_for_nothing() -> None:
    story = resume_call(EARLIER[:1], Resume())
    do(story, STARTED)
    assert requests([*reconnect(story), *wait(story, SILENCE_SECONDS - 0.1)]) == []


def test_another_stream_finishes_a_sentence_that_the_one_before_was_cut_in() -> None:
    story = resume_call(EARLIER[:1], Resume(cut_off_words="Hello!"))
    do(story, STARTED)
    commands = reconnect(story)
    [history] = [each for each in commands if isinstance(each, RestoreHistory)]
    assert finish_sentence("Hello!") in _text(history.items[-1])
    assert requests(commands) == [CreateResponse()]


def test_a_call_in_which_nothing_was_heard_is_greeted_by_its_next_stream() -> None:
    story = resume_call((), Resume())
    do(story, STARTED)
    assert requests(reconnect(story)) == [CreateResponse("Good morning!")]


def test_both_sides_stay_muted_on_another_stream() -> None:
    story = resume_call(EARLIER, Resume(is_muted=True, is_caller_muted=True))
    do(story, STARTED)
    assert requests(reconnect(story)) == []
    assert do(story, frame(1)) == [AppendAudio(sound(20, 0xFF))]


def test_a_session_lost_on_another_stream_is_told_the_earlier_turns_too() -> None:
    past = PastToolCall("call-1", "order", "{}", '{"ok":true}', 2)
    story = resume_call(EARLIER, Resume((past,)))
    do(story, STARTED)
    reconnect(story)
    do(story, ResponseStarted("resp-1"), words("It is ordered."), said(500))
    do(story, AudioFinished("item-1"), done())
    wait(story, 2.0)
    do(story, CLOSED)
    assert restored_texts(reconnect(story)) == [
        "assistant: Hello!",
        "user: Soup, please.",
        "call-1: order",
        'call-1 -> {"ok":true}',
        "assistant: It is ordered.",
    ]
