"""The bridge of a browser call. It also shows the browser the progress of its call."""

from functools import cached_property

from media_bridge import events
from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand
from media_bridge.conversation.call_view import CallView


class BrowserBridge(Bridge):
    @cached_property
    def _view(self) -> CallView:
        return CallView(self._config.events, self._call.attached_stream)

    def handle(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        commands = super().handle(event, now)
        if isinstance(event, events.CallerAudio):
            return commands
        return self._view.show(event, commands, self._conversation, is_ready=self._speaks)
