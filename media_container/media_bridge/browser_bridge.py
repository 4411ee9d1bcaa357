"""The bridge of a browser call: it also shows the browser what becomes of its call."""

from media_bridge import events
from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand, ClipKind
from media_bridge.conversation.call_view import CallView
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.conversation.history import History
from media_bridge.conversation.talk import NO_CLIPS
from media_bridge.speech.clips import SpeechClips
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig
from phonebridge.settings import ModelAudio


class BrowserBridge(Bridge):
    def __init__(
        self,
        call: Call,
        config: CallConfig,
        model_audio: ModelAudio,
        now: float,
        cached_greeting: CachedGreeting | None = None,
        clips: SpeechClips = NO_CLIPS,
        missing_clips: tuple[ClipKind, ...] = (),
        history: History | None = None,
    ) -> None:
        super().__init__(
            call, config, model_audio, now, cached_greeting, clips, missing_clips, history
        )
        self._view = CallView(config.events, call.attached_stream)

    def handle(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        commands = super().handle(event, now)
        if isinstance(event, events.CallerAudio):
            return commands
        return self._view.show(event, commands, self._conversation, is_ready=self._speaks)
