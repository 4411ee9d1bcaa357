"""Relays media sockets to the media container, so that one public address serves webhooks and
media. It does not read the frames."""

import asyncio
import contextlib
import itertools

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Close, CloseCode

TOKEN_HEADER = "x-telnyx-streaming-auth-token"
BAD_GATEWAY = 502

# Codes that report a close without a frame, or a frame without a code. Neither may be sent (RFC
# 6455, 7.4.1). Servers under uvicorn cannot distinguish the two.
_WITHOUT_CODE = (CloseCode.NO_STATUS_RCVD, CloseCode.ABNORMAL_CLOSURE)


class MediaRelay:
    def __init__(self, *media_urls: str) -> None:
        """Each new socket goes to the next container, like those of a load balancer."""
        self._media_urls = itertools.cycle(url.rstrip("/") for url in media_urls)

    async def pass_through(self, caller: WebSocket) -> None:
        url = caller.url
        address = f"{next(self._media_urls)}{url.path}" + (f"?{url.query}" if url.query else "")
        token = caller.headers.get(TOKEN_HEADER)
        try:
            container = await connect(
                address,
                additional_headers={TOKEN_HEADER: token} if token else None,
                compression=None,
                max_size=None,
                ping_interval=None,
                proxy=None,
            )
        except InvalidStatus as refusal:
            answer = refusal.response
            await caller.send_denial_response(Response(bytes(answer.body), answer.status_code))
        except (OSError, InvalidHandshake, TimeoutError):
            await caller.send_denial_response(Response(status_code=BAD_GATEWAY))
        else:
            async with container:
                await caller.accept()
                await _relay(caller, container)


async def _relay(caller: WebSocket, container: ClientConnection) -> None:
    """Relay until either side closes, then close the other side in the same way."""
    async with asyncio.TaskGroup() as directions:
        outward = directions.create_task(_to_container(caller, container))
        with contextlib.suppress(WebSocketDisconnect):  # then `_to_container` closes the other side
            await _to_caller(container, caller)
            outward.cancel()


async def _to_container(caller: WebSocket, container: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):  # then `_to_caller` closes the other side
        while True:
            message = await caller.receive()
            if message["type"] == "websocket.disconnect":
                await _close_container(container, message["code"], message.get("reason") or "")
                return
            text = message.get("text")
            await container.send(message["bytes"] if text is None else text)


async def _close_container(container: ClientConnection, code: int, reason: str) -> None:
    if code in _WITHOUT_CODE:
        container.transport.close()
    else:
        await container.close(code, reason)


async def _to_caller(container: ClientConnection, caller: WebSocket) -> None:
    try:
        while True:
            message = await container.recv()
            if isinstance(message, str):
                await caller.send_text(message)
            else:
                await caller.send_bytes(message)
    except ConnectionClosed as closed:
        with contextlib.suppress(RuntimeError):  # the caller closed first
            await _close_caller(caller, closed.rcvd)


async def _close_caller(caller: WebSocket, end: Close | None) -> None:
    if end is None:  # the container vanished without a close frame, which ASGI cannot express
        await caller.close(CloseCode.INTERNAL_ERROR)
    elif end.code in _WITHOUT_CODE:
        await caller.close(CloseCode.NORMAL_CLOSURE, end.reason)
    else:
        await caller.close(end.code, end.reason)
