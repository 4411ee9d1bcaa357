"""One WebSocket as the bridge sees it: whole messages come by a call, and sending never waits.

picows calls back from the event loop's own read, without a task or a queue between the socket and
the bridge (what those cost: the plain relay beside the floor in docs/performance.md).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

Buffer = bytes | memoryview

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Maximum size of a message with all its fragments. The size of a single frame is limited where its
socket is opened."""
STALL_SECONDS = 5.0
"""A peer is gone if it reads nothing for so long while we have something to send."""
CLOSE_SECONDS = 1.0
"""How long a peer may take to answer our close, or to take the frames before it."""
NORMAL_CLOSURE = 1000
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
TOKEN_REFUSED = 4401
OTHER_SOCKET = 4409
"""Another socket has the call. These two are our own (RFC 6455, 7.4.2)."""
NO_STATUS_RECEIVED = 1005
ABNORMAL_CLOSURE = 1006

# By name each costs as much as a call, at every frame.
_TEXT, _CLOSE = WSMsgType.TEXT, WSMsgType.CLOSE
_DATA = (_TEXT, WSMsgType.CONTINUATION, WSMsgType.BINARY)


class WebSocket(WSListener):
    """`on_message` gets each message, valid only during the call; `on_close` the code and reason,
    once. Set both before the socket is read."""

    max_message_bytes = MAX_MESSAGE_BYTES
    on_message: Callable[[Buffer], None]
    on_close: Callable[[int, str], None]

    def __init__(self) -> None:
        self._transport: WSTransport | None = None
        self._fragments = bytearray()
        self._stall: asyncio.TimerHandle | None = None
        self._closed = False
        self._unwanted = False

    def send(self, message: bytes) -> None:
        """Send a message. If the socket is closed, nothing is sent."""
        if self._transport is not None:
            self._transport.send(_TEXT, message)

    def close(self, code: int = 1000) -> None:
        """Close the socket. One that is still being opened closes as soon as it is open. Frames of
        the peer before its answer are read and dropped, so that our close reaches it (RFC 6455,
        7.1)."""
        self._unwanted = True
        if transport := self._transport:
            self._transport = None
            transport.send_close(WSCloseCode(code))
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, transport.disconnect, False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self._unwanted:
            self.close()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is _CLOSE:
            self.close()
            transport.disconnect()
        elif self._unwanted or kind not in _DATA:
            return
        elif frame.fin and not self._fragments:
            self.on_message(frame.get_payload_as_memoryview())
        else:
            self._gather(frame)

    def _gather(self, frame: WSFrame) -> None:
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > self.max_message_bytes:
            self.close(WSCloseCode.MESSAGE_TOO_BIG.value)
        elif frame.fin:
            message = bytes(self._fragments)
            self._fragments.clear()
            self.on_message(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.resume_writing()
        if transport.is_client_side:
            asyncio.get_running_loop().create_task(_consume_error(transport))
        if self._closed:
            return
        self._closed = True
        handshake = transport.close_handshake
        if end := handshake and (handshake.recv or handshake.sent):
            # A close frame without a code is told as 0 without a reason.
            self.on_close(end.code.value or NO_STATUS_RECEIVED, end.reason or "")
        else:
            self.on_close(ABNORMAL_CLOSURE, "")

    def pause_writing(self) -> None:
        loop = asyncio.get_running_loop()
        self._stall = loop.call_later(STALL_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        if self._stall:
            self._stall.cancel()
            self._stall = None

    def _give_up(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(graceful=False)


async def _consume_error(transport: WSTransport) -> None:
    """Retrieve the exception that picows keeps when the server sends no WebSocket. Otherwise
    asyncio logs a traceback. Its code and reason were reported already."""
    with suppress(Exception):
        await transport.wait_disconnected()
