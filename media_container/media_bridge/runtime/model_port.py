"""The port to a speech-to-speech API. Its input and output are the bridge's own commands and
events. Each API has its own package behind it (`openai/`), chosen in `media_bridge/__main__.py`."""

from collections.abc import Callable
from typing import Protocol

from media_bridge import events
from media_bridge.commands import ModelCommand
from media_bridge.runtime.websocket import Buffer, WebSocket
from phonebridge.call.config import CallConfig
from phonebridge.errors import ModelError


class ModelUnreachable(ModelError):
    """No WebSocket to the model's server could be opened. `status` is its HTTP answer, if it gave
    one; `retry_after` is the number of seconds that it wants us to wait."""

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ModelProtocol(Protocol):
    """The translator of one session."""

    on_repair: Callable[[str, list[str]], None]
    """Called once for each type of event that came with values which count as absent: the type, and
    where those values were."""

    def encode(self, command: ModelCommand) -> bytes:
        """Return the frame to send."""

    def decode(self, text: Buffer) -> events.ModelEvent | None:
        """Return the event, or None for a frame that a phone bridge does not need."""

    def implied_event(self, command: ModelCommand) -> events.ModelEvent | None:
        """Return the event that follows from sending the command, because the server will not
        report it."""


class SpeechModel(Protocol):
    def protocol(self, config: CallConfig) -> ModelProtocol: ...

    async def connect(self, config: CallConfig, socket: WebSocket) -> None:
        """Connect `socket`, whose callbacks are set. Raises `ModelUnreachable`."""

    def name(self, config: CallConfig) -> str:
        """Return the name of the model that speaks in such a call."""
