"""The media socket of a call: it keeps the frames that come before the call is claimed."""

import asyncio
from collections.abc import Callable

from picows import WSTransport

from media_bridge.runtime.websocket import Buffer, WebSocket

MAX_FRAME_BYTES = 1024 * 1024
"""The longest message Telnyx may send or take, 30 s of G.711 in base64, is a third of it."""
MAX_BUFFERED_BYTES = 128 * 1024
"""Five seconds of frames and more, while the call is being claimed."""


class PhoneSocket(WebSocket):
    """Keeps the frames that come before its call is claimed."""

    max_message_bytes = MAX_FRAME_BYTES

    def __init__(self, on_open: Callable[["PhoneSocket"], None]) -> None:
        super().__init__()
        self.first_message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._on_open = on_open
        self._waiting: list[bytes] = []
        self._room = MAX_BUFFERED_BYTES
        self._end: tuple[int, str] | None = None
        self.has_header = True
        """Whether the token came in a header."""
        self.on_message = self._keep
        self.on_close = self._close_early

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self._on_open(self)

    def _keep(self, message: Buffer) -> None:
        if not self.first_message.done():
            self.first_message.set_result(bytes(message))
        self._room -= len(message)
        if self._room >= 0:
            self._waiting.append(bytes(message))

    def _close_early(self, code: int, reason: str) -> None:
        self._end = code, reason
        self.first_message.cancel()

    def release(self) -> None:
        """Pass the frames received so far to the current listener."""
        for message in self._waiting:
            self.on_message(message)
        self._waiting.clear()
        if self._end:
            self.on_close(*self._end)
