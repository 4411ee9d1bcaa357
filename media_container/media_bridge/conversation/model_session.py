"""The stages of the model's session, from its connection to its end.

Nothing may be requested before the session runs with our settings. A session that is lost while the
phone rings does no harm: the next one is opened when somebody answers.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from media_bridge import events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    AddMessage,
    AddTimelineEntry,
    BridgeCommand,
    CancelResponse,
    ConfigureModel,
    ConnectModel,
    CreateResponse,
    FailCall,
    Log,
    RecordClip,
    TruncateItem,
)
from phonebridge.settings import ModelAudio

_NEEDS_READY_SESSION = (CreateResponse, AddMessage, RecordClip, CancelResponse, TruncateItem)

MAX_NOTE_CHARACTERS = 500


class _Stage(Enum):
    AWAITED = auto()
    CONNECTED = auto()
    CONFIGURED = auto()
    READY = auto()
    LOST = auto()


@dataclass(slots=True)
class ModelSession:
    is_ringing: bool
    """The call was not answered yet."""
    model_audio: ModelAudio
    output_codec: Codec
    """The codec that we speak on the line."""
    configured_codec: Codec | None = None
    """The codec in which the session expects the caller's audio."""
    is_ready: bool = False
    _stage: _Stage = _Stage.AWAITED
    _held: list[BridgeCommand] = field(default_factory=list)
    _noted: set[str] = field(default_factory=set)

    @property
    def is_lost(self) -> bool:
        return self._stage is _Stage.LOST

    def hold(self, command: BridgeCommand) -> bool:
        """Keep a command that has to wait until the session is ready. The result is whether it has
        to."""
        too_early = not self.is_ready and isinstance(command, _NEEDS_READY_SESSION)
        if too_early:
            self._held.append(command)
        return too_early

    def handle(self, event: events.SessionEvent, line: Codec | None) -> list[BridgeCommand]:
        if self.is_lost:
            return []
        match event:
            case events.ModelConnected():
                if self._stage is _Stage.AWAITED:
                    self._stage = _Stage.CONNECTED
                return self.configure(line)
            case events.ModelReady():
                return self._on_ready()
            case events.ModelRefused(detail):
                return [FailCall("model_refused", detail)]
            case events.SettingsDiffer(detail):
                return self._note_once("model settings differ", detail)
            case events.MalformedEventReceived(event_type, detail):
                return self._note_once("malformed model event", detail, event_type)
            case events.ModelErrorReceived(code, message):
                return self._on_error(code, message)
            case events.ModelClosed(code, reason):
                return self._on_closed(f"the model's server closed with {code} {reason}".strip())

    def configure(self, line: Codec | None) -> list[BridgeCommand]:
        """Configure the session once it is connected and the line's codec is known. While the phone
        rings, the codec is assumed, and the caller's sound is transcoded if it turns out to be
        another one."""
        codec = line or (Codec.PCMU if self.is_ringing else None)
        if self._stage is not _Stage.CONNECTED or codec is None:
            return []
        if self.model_audio is ModelAudio.G711 and Codec.L16 in (codec, self.output_codec):
            detail = "L16 is turned into the model's PCM only: it needs MODEL_AUDIO=pcm24k"
            return [FailCall("unsupported_codec", detail)]
        self._stage, self.configured_codec = _Stage.CONFIGURED, codec
        return [ConfigureModel(codec)]

    def lose(self, why: str) -> list[BridgeCommand]:
        self._stage, self.configured_codec, self.is_ready = _Stage.LOST, None, False
        return [Log("warning", "model session lost while the phone rings", why)]

    def on_answered(self) -> list[BridgeCommand]:
        self.is_ringing = False
        if not self.is_lost:
            return []
        self._stage = _Stage.AWAITED
        return [ConnectModel()]

    def _on_ready(self) -> list[BridgeCommand]:
        if self._stage is not _Stage.CONFIGURED:
            return []
        self._stage, self.is_ready = _Stage.READY, True
        held, self._held = self._held, []
        return [Log("info", "model session ready"), *held]

    def _on_error(self, code: str, message: str) -> list[BridgeCommand]:
        detail = f"{code}: {message}"
        if not self.is_ready:
            # It can only be about the connection or our settings; the whole update is lost then,
            # and the model would go on with a default persona.
            return [FailCall("model_refused", detail)]
        return [Log("warning", "model error", detail)]

    def _note_once(self, what: str, detail: str, kind: str | None = None) -> list[BridgeCommand]:
        """Add one entry for each kind, however often it happens."""
        kind = f"{what}: {detail if kind is None else kind}"
        if kind in self._noted:
            return []
        self._noted.add(kind)
        return [Log("warning", what, detail), AddTimelineEntry(what, detail[:MAX_NOTE_CHARACTERS])]

    def _on_closed(self, why: str) -> list[BridgeCommand]:
        if self.is_ringing:
            return self.lose(why)
        was_ready, self.is_ready = self.is_ready, False
        return [FailCall("model_lost" if was_ready else "model_unreachable", why)]
