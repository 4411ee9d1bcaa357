"""The stages of the model's session, from its connection to its loss, and back.

    stage        event                                        next stage
    -----        -----                                        ----------
    CONNECTING   the server accepts the connection            CONNECTED
    CONNECTED    the line's codec is known                    CONFIGURED, and the settings are sent
    CONFIGURED   the server confirms exactly these settings   READY
    READY        the session is lost, or shows no life        WAITING
    the first    the attempt fails, or takes longer than      WAITING
    three        6 s
    WAITING      the back-off is over (`reconnects.py`)       CONNECTING, in a new session
    any          no further attempt is allowed                LOST: the call fails, unless the phone
                                                              rings
    LOST         somebody answers the phone                   CONNECTING, in a new session

Nothing may be requested before a session is ready. Commands that come before the first session is
ready are kept. While a lost session is being replaced, commands are dropped, because `memory.py`
restores everything in the next session.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import get_args

from media_bridge import events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    BridgeCommand,
    CancelResponse,
    ConfigureModel,
    ConnectModel,
    CountReconnect,
    CreateResponse,
    FailCall,
    Log,
    ModelCommand,
    RecordClip,
    TruncateItem,
)
from media_bridge.conversation.reconnects import (
    TIMEOUT_SECONDS,
    LossReason,
    ReconnectBudget,
    is_final,
    reason_of,
)
from media_bridge.deadline import NEVER
from phonebridge.call.config import CallConfig
from phonebridge.settings import ModelAudio

ATTEMPT_TIMEOUT_SECONDS = 6.0
MAX_NOTE_CHARACTERS = 500

_NEEDS_READY_SESSION = (CreateResponse, AddMessage, RecordClip, CancelResponse, TruncateItem)
_MODEL_COMMANDS = get_args(ModelCommand)

# The server has a problem of its own, so another attempt may succeed (OpenAI, "Error codes").
_TRANSIENT_ERRORS = (
    "server_error",
    "internal_error",
    "session_expired",
    "rate_limit_exceeded",
    "inference_rate_limit_exceeded",
    "service_unavailable",
    "server_overloaded",
    "slow_down",
)


class _Stage(Enum):
    CONNECTING = auto()
    CONNECTED = auto()
    CONFIGURED = auto()
    READY = auto()
    WAITING = auto()
    LOST = auto()


@dataclass(slots=True)
class ModelSession:
    config: CallConfig
    """The settings that are in force."""
    model_audio: ModelAudio
    is_ringing: bool
    """True until the call is answered."""
    budget: ReconnectBudget
    configured_codec: Codec | None = None
    """The codec in which all sessions expect the caller's audio, once one was configured."""
    is_ready: bool = False
    has_conversation: bool = False
    """True once a conversation has begun. Every further session must receive it."""
    due_at: float = NEVER
    """Call `due` at that time."""
    _stage: _Stage = _Stage.CONNECTING
    _fails_at: float = NEVER
    _lost_at: float | None = None
    _lost_by: LossReason = LossReason.CLOSED
    _why: str = ""
    _held: list[BridgeCommand] = field(default_factory=list)
    _noted: set[str] = field(default_factory=set)

    def begin(self, now: float) -> None:
        """Begin. The shell opens the first session of a call without being asked."""
        self._await_session(now)
        self._start_attempt(now)

    @property
    def is_lost(self) -> bool:
        return self._stage is _Stage.LOST

    @property
    def is_being_replaced(self) -> bool:
        """Whether a conversation continues without the model until the next session is ready."""
        return self.has_conversation and not self.is_ready

    @property
    def was_deaf(self) -> bool:
        """Whether the last session was lost after a time in which its server read nothing."""
        return self._lost_by in (LossReason.UNANSWERED_PING, LossReason.UNRESPONSIVE)

    def hold(self, command: BridgeCommand) -> bool:
        """Keep back a command that cannot be executed now. Return whether it was kept back."""
        if self.is_ready:
            return False
        if self.has_conversation:
            is_setup = isinstance(command, ConfigureModel)
            return isinstance(command, _MODEL_COMMANDS) and not is_setup
        too_early = isinstance(command, _NEEDS_READY_SESSION)
        if too_early:
            self._held.append(command)
        return too_early

    def handle(
        self, event: events.SessionEvent, line: Codec | None, now: float
    ) -> list[BridgeCommand]:
        if self._stage in (_Stage.LOST, _Stage.WAITING):
            return []
        match event:
            case events.ModelConnected():
                if self._stage is _Stage.CONNECTING:
                    self._stage = _Stage.CONNECTED
                return self.configure(line, now)
            case events.ModelReady():
                return self._on_ready(now)
            case events.ModelRefused(detail):
                return [FailCall("model_refused", detail)]
            case events.SettingsDiffer(detail):
                return self._note_once("model settings differ", detail)
            case events.MalformedEventReceived(event_type, detail):
                return self._note_once("malformed model event", detail, event_type)
            case events.ModelErrorReceived():
                return self._on_error(event, now)
            case events.ModelClosed() | events.ConnectFailed():
                return self._on_end(event, now)

    def configure(self, line: Codec | None, now: float) -> list[BridgeCommand]:
        """Configure the session once it is connected and the line's codec is known. While the phone
        rings, the codec is assumed, and the caller's sound is transcoded if it turns out to be
        another one."""
        codec = self.configured_codec or line or (Codec.PCMU if self.is_ringing else None)
        if self._stage is not _Stage.CONNECTED:
            return []
        if codec is None:
            self.due_at = self._fails_at
            return []
        if refusal := self.refusal_of(line or codec):
            return [refusal]
        self._stage, self.configured_codec = _Stage.CONFIGURED, codec
        self._start_attempt(now)
        return [ConfigureModel(codec)]

    def refusal_of(self, line: Codec) -> FailCall | None:
        """Return why the line's codec cannot be converted to the model's, if it cannot."""
        is_l16 = Codec.L16 in (line, Codec[self.config.codec])
        if not is_l16 or self.model_audio is not ModelAudio.G711:
            return None
        detail = "L16 is turned into the model's PCM only: it needs MODEL_AUDIO=pcm24k"
        return FailCall("unsupported_codec", detail)

    def on_answered(self, now: float) -> list[BridgeCommand]:
        """Make a waiting attempt now, because somebody answers."""
        was_ringing, self.is_ringing = self.is_ringing, False
        if not was_ringing or self.is_ready:
            return []
        self._await_session(now)
        if self._stage is _Stage.LOST:
            self.budget.start_over()
        if self._stage in (_Stage.LOST, _Stage.WAITING):
            return self._connect(now)
        self.due_at = min(self.due_at, self._fails_at)
        return []

    def lose(
        self, reason: LossReason, why: str, now: float, retry_after: float | None = None
    ) -> list[BridgeCommand]:
        """Replace a session that is lost, or that never became ready."""
        if self.is_ready:
            self.budget.lose()
            self._lost_at, self._lost_by, self._why = now, reason, why
            self._await_session(now)
        return self._retry(why, "model_unreachable", now, retry_after)

    def _retry(
        self, why: str, fault: str, now: float, retry_after: float | None = None
    ) -> list[BridgeCommand]:
        self.is_ready = False
        delay = self.budget.delay(retry_after)
        if delay is None or now + delay >= self._fails_at:
            return self._give_up(why, fault)
        log = Log("warning", "model session lost", why)
        if not delay:
            return [log, *self._connect(now)]
        self._stage, self.due_at = _Stage.WAITING, now + delay
        return [log]

    def due(self, now: float) -> list[BridgeCommand]:
        if now < self.due_at:
            return []
        if self._fails_at <= now:
            self.due_at = NEVER
            reason = "model_timeout" if self._lost_at is None else "model_lost"
            return [FailCall(reason, "the model session did not become ready")]
        if self._stage is _Stage.WAITING:
            return self._connect(now)
        why = f"no session within {round(ATTEMPT_TIMEOUT_SECONDS)} s"
        return self._retry(why, "model_timeout", now)

    def start_over(self) -> None:
        """Forget a session that was lost before any of its audio was played."""
        self.has_conversation, self._lost_at = False, None
        self._held.clear()

    def _await_session(self, now: float) -> None:
        self._fails_at = NEVER if self.is_ringing else now + TIMEOUT_SECONDS

    def _connect(self, now: float) -> list[BridgeCommand]:
        self._stage = _Stage.CONNECTING
        self._start_attempt(now)
        return [ConnectModel(self.config)]

    def _start_attempt(self, now: float) -> None:
        if self._stage is _Stage.CONNECTING:
            self.budget.attempts += 1
        self.due_at = min(now + ATTEMPT_TIMEOUT_SECONDS, self._fails_at)

    def _give_up(self, why: str, fault: str) -> list[BridgeCommand]:
        self._stage, self.due_at = _Stage.LOST, NEVER
        if self.is_ringing:
            return [Log("warning", "model session lost while the phone rings", why)]
        return [FailCall(fault if self._lost_at is None else "model_lost", why)]

    def _on_ready(self, now: float) -> list[BridgeCommand]:
        if self._stage is not _Stage.CONFIGURED:
            return []
        self._stage, self.due_at = _Stage.READY, NEVER
        self.is_ready = self.has_conversation = True
        held, self._held = self._held, []
        gap = [] if self._lost_at is None else self._note_gap(now - self._lost_at)
        return [Log("info", "model session ready"), *gap, *held]

    def _note_gap(self, seconds: float) -> list[BridgeCommand]:
        gap_ms = round(seconds * 1000)
        detail = f"after {gap_ms} ms: {self._why}"[:MAX_NOTE_CHARACTERS]
        return [
            AddTimelineEntry("model reconnected", detail),
            CountReconnect(self._lost_by.value, gap_ms),
        ]

    def _on_error(self, error: events.ModelErrorReceived, now: float) -> list[BridgeCommand]:
        detail = f"{error.code}: {error.message}"
        if self.is_ready:
            return [Log("warning", "model error", detail)]
        if error.code in _TRANSIENT_ERRORS:
            return self.lose(LossReason.CLOSED, detail, now, error.retry_after)
        # The error can only be about the connection or our settings. The server has then discarded
        # all settings, and the model would continue with a default persona.
        return [FailCall("model_refused", detail)]

    def _note_once(self, what: str, detail: str, kind: str | None = None) -> list[BridgeCommand]:
        """Add one entry for each kind, however often it happens."""
        kind = f"{what}: {detail if kind is None else kind}"
        if kind in self._noted:
            return []
        self._noted.add(kind)
        return [Log("warning", what, detail), AddTimelineEntry(what, detail[:MAX_NOTE_CHARACTERS])]

    def _on_end(
        self, event: events.ModelClosed | events.ConnectFailed, now: float
    ) -> list[BridgeCommand]:
        if isinstance(event, events.ModelClosed):
            why = f"the model's server closed with {event.code} {event.reason}".strip()
            reason, retry_after = reason_of(event), None
        else:
            why, reason, retry_after = event.detail, LossReason.CLOSED, event.retry_after
        if not is_final(event):
            return self.lose(reason, why, now, retry_after)
        is_first = self._lost_at is None and not self.is_ready
        fault = "model_unreachable" if is_first else "model_lost"
        self.is_ready, self._stage, self.due_at = False, _Stage.LOST, NEVER
        return [FailCall(fault, why)]
