"""Laws of a call whose sessions are lost at any time and in any way.

A model that follows its protocol and a caller are led through a conversation step by step. At any
step the session is lost. The history for the next session must contain exactly the played words.
The model must be asked exactly once for the reply that the caller waits for.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from hypothesis import given, settings
from hypothesis import strategies as st

from media_bridge.bridge import Bridge
from media_bridge.commands import (
    AddMessage,
    AppendAudio,
    BridgeCommand,
    CancelResponse,
    CreateResponse,
    FailCall,
    RecordTurn,
    RestoreHistory,
    ReviseTurn,
    Role,
    SaveResume,
    TruncateItem,
)
from media_bridge.conversation.reconnects import MAX_LOSSES, TIMEOUT_SECONDS
from media_bridge.events import (
    AudioFinished,
    BridgeEvent,
    CallerSpeechStarted,
    CallerSpeechStopped,
    CallerTranscribed,
    ClaimLost,
    ConnectFailed,
    LeaveRequested,
    ModelClosed,
    ModelConnected,
    ModelReady,
    ResponseStarted,
    StreamLost,
)
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Interrupt, Mute, Say, Side
from phonebridge.call.turn import Speaker, Turn
from phonebridge.settings import ModelAudio
from tests.support.bridges import CALL, STARTED, done, frame, said, words
from tests.support.playbook import pass_time

REPLY_TIMEOUT = 10.0
"""Longer than any pause in which the bridge waits for the server, and shorter than a stall."""


class Phase(Enum):
    """How far the conversation has come since the last reply."""

    LISTENING = auto()
    SPEAKING = auto()
    WAITING = auto()
    RESPONDING = auto()
    AUDIBLE = auto()
    ALL_SENT = auto()


WANTS_REPLY = {Phase.SPEAKING, Phase.WAITING, Phase.RESPONDING, Phase.AUDIBLE}


@dataclass
class Talk:
    bridge: Bridge
    now: float = 0.0
    phase: Phase = Phase.WAITING
    number: int = 0
    turns: dict[int, Turn] = field(default_factory=dict)
    commands: list[BridgeCommand] = field(default_factory=list)

    def do(self, *events: BridgeEvent) -> list[BridgeCommand]:
        return self._note(
            [each for event in events for each in self.bridge.handle(event, self.now)]
        )

    def wait(self, seconds: float) -> list[BridgeCommand]:
        until = self.now + seconds
        commands = [command for _, command in pass_time(self.bridge, self.now, until)]
        self.now = until
        return self._note(commands)

    def _note(self, commands: list[BridgeCommand]) -> list[BridgeCommand]:
        for command in commands:
            if isinstance(command, RecordTurn | ReviseTurn):
                self.turns[command.turn.number] = command.turn
        self.commands += commands
        return commands

    def step(self, is_transcribed: bool) -> None:
        """Let the conversation go one step on."""
        match self.phase:
            case Phase.LISTENING:
                self.number += 1
                self.do(CallerSpeechStarted(f"user-{self.number}"))
                self.phase = Phase.SPEAKING
            case Phase.SPEAKING:
                self.do(CallerSpeechStopped(f"user-{self.number}"))
                if is_transcribed:
                    self.do(CallerTranscribed(f"user-{self.number}", f"question {self.number}"))
                self.phase = Phase.WAITING
            case Phase.WAITING:
                self.number += 1
                self.do(ResponseStarted(self.response))
                self.phase = Phase.RESPONDING
            case Phase.RESPONDING:
                text = f"answer {self.number} with many more words"
                self.do(words(text, self.item, self.response))
                self.do(said(2000, self.item, self.response))
                self.phase = Phase.AUDIBLE
            case Phase.AUDIBLE:
                self.do(AudioFinished(self.item))
                self.phase = Phase.ALL_SENT
            case Phase.ALL_SENT:
                self.do(done(self.response))
                self.phase = Phase.LISTENING

    @property
    def response(self) -> str:
        return f"resp-{self.number}"

    @property
    def item(self) -> str:
        return f"item-{self.number}"

    @property
    def played_texts(self) -> list[tuple[Role, str]]:
        """Return the texts that were played, in the order of the record."""
        role = {Speaker.AGENT: Role.ASSISTANT, Speaker.CALLER: Role.USER}
        turns = (self.turns[number] for number in sorted(self.turns))
        return [(role[turn.who], turn.text) for turn in turns if turn.text]


def begin(config: CallConfig) -> Talk:
    talk = Talk(Bridge(CALL, config, ModelAudio.G711, 0.0))
    talk.do(STARTED, ModelConnected(), ModelReady())
    return talk


def restored_texts(commands: list[BridgeCommand]) -> list[tuple[Role, str]]:
    history = [each for each in commands if isinstance(each, RestoreHistory)]
    items = [item for each in history for item in each.items[:-1]]
    return [(item.role, item.text) for item in items if isinstance(item, AddMessage)]


def requests(commands: list[BridgeCommand]) -> list[CreateResponse]:
    return [each for each in commands if isinstance(each, CreateResponse)]


_steps = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.6, 2.5]), st.booleans()), max_size=14)
_ends = st.sampled_from([1000, 1001, 1005, 1006, 1008, 1011, 1012, 1013]).map(
    lambda code: ModelClosed(code, "")
)
_losses = st.lists(st.tuples(_steps, _ends, st.integers(0, 2)), min_size=1, max_size=MAX_LOSSES)


@settings(deadline=None)
@given(losses=_losses)
def test_the_next_session_is_told_what_was_heard_and_asked_once_for_what_is_owed(
    losses: list[tuple[list[tuple[float, bool]], ModelClosed, int]],
) -> None:
    talk = begin(CallConfig())
    for steps, end, failures in losses:
        for pause, is_transcribed in steps:
            talk.wait(pause)
            talk.step(is_transcribed)
        talk.do(frame(round(talk.now * 50)))  # the line goes on
        lost = talk.do(end)
        for _ in range(failures):
            lost += [*talk.wait(1.2), *talk.do(ConnectFailed("busy", 503))]
        lost += talk.wait(3.0)
        assert requests(lost) == [], "there is no session to ask"
        assert not [each for each in lost if isinstance(each, TruncateItem | CancelResponse)]
        ready = talk.do(ModelConnected(), ModelReady())
        assert restored_texts(ready) == talk.played_texts
        following = talk.wait(REPLY_TIMEOUT)
        assert len(requests([*ready, *following])) == (talk.phase in WANTS_REPLY)
        late = [each for each in following if isinstance(each, AddMessage)]
        texts = [each.text for each in late if each.role is Role.ASSISTANT]
        assert [
            *restored_texts(ready),
            *((Role.ASSISTANT, text) for text in texts),
        ] == talk.played_texts
        talk.phase = Phase.WAITING if talk.phase in WANTS_REPLY else Phase.LISTENING


@settings(deadline=None)
@given(steps=_steps, end=_ends, pauses=st.lists(st.floats(0.0, 3.0), max_size=6))
def test_a_call_that_gets_no_session_any_more_ends_within_its_bound(
    steps: list[tuple[float, bool]], end: ModelClosed, pauses: list[float]
) -> None:
    talk = begin(CallConfig())
    for pause, is_transcribed in steps:
        talk.wait(pause)
        talk.step(is_transcribed)
    talk.wait(0.0)
    lost_at = talk.now
    talk.do(end)
    for pause in pauses:
        talk.wait(pause)
        talk.do(ConnectFailed("busy", 503))
    ended = []
    for now, command in pass_time(talk.bridge, talk.now, lost_at + 100.0):
        if isinstance(command, FailCall):
            ended.append(now)
    failed = [each for each in talk.commands if isinstance(each, FailCall)]
    assert len(failed) + len(ended) == 1
    assert all(now <= lost_at + TIMEOUT_SECONDS for now in ended)


_any_event: st.SearchStrategy[BridgeEvent] = st.one_of(
    _ends,
    st.sampled_from(
        [
            STARTED,
            ModelConnected(),
            ModelReady(),
            ConnectFailed("busy", 429),
            CallerSpeechStarted("user-1"),
            CallerSpeechStopped("user-1"),
            CallerTranscribed("user-1", "Hello?"),
            ResponseStarted("resp-1"),
            said(500),
            words("Hello!"),
            AudioFinished("item-1"),
            done(),
            frame(1),
            Say(words="Hi.", instruction=None),
            Interrupt(),
            Mute(Side.AGENT, True),
            StreamLost(),
            LeaveRequested(),
        ]
    ),
)
_story = st.lists(st.tuples(st.floats(0.0, 4.0), _any_event), max_size=20)


@settings(deadline=None)
@given(before=_story, after=_story)
def test_a_bridge_that_lost_its_claim_says_nothing_more(
    before: list[tuple[float, BridgeEvent]], after: list[tuple[float, BridgeEvent]]
) -> None:
    """Otherwise two agents would speak in one call."""
    bridge, now = Bridge(CALL, CallConfig(), ModelAudio.G711, 0.0), 0.0
    for pause, event in before:
        list(pass_time(bridge, now, now + pause))
        now += pause
        bridge.handle(event, now)
    assert bridge.handle(ClaimLost(), now) == []
    assert bridge.is_over
    assert bridge.next_deadline() is None
    for pause, event in after:
        now += pause
        assert bridge.handle(event, now) == []


@settings(deadline=None)
@given(before=_story, after=_story)
def test_a_bridge_that_left_its_stream_commands_neither_the_phone_nor_a_response(
    before: list[tuple[float, BridgeEvent]], after: list[tuple[float, BridgeEvent]]
) -> None:
    bridge, now = Bridge(CALL, CallConfig(), ModelAudio.G711, 0.0), 0.0
    commands: list[BridgeCommand] = []
    for pause, event in [*before, (0.0, LeaveRequested())]:
        list(pass_time(bridge, now, now + pause))
        now += pause
        bridge.handle(event, now)
    for pause, event in after:
        commands += [each for _, each in pass_time(bridge, now, now + pause)]
        now += pause
        commands += bridge.handle(event, now)
    silent = RecordTurn | ReviseTurn | CancelResponse | AppendAudio | SaveResume
    kinds = {type(each).__name__ for each in commands if not isinstance(each, silent)}
    assert kinds <= {"CommitAudio", "Log"}
