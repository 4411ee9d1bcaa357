"""The container's two doors: `/media-bridge/{call_id}` for Telnyx, `/healthz` for the balancer.

Nothing is spent on a socket before its token is checked and its call is claimed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from media_bridge.session import CallSession
from media_bridge.task import MediaTask
from phonebridge import stream_token
from phonebridge.call import Call, CallConfig, MediaAttached
from phonebridge.errors import InvalidToken, InvalidTransition, UnknownCall
from phonebridge.log import call_on_every_line
from phonebridge.telnyx import media

TOKEN_HEADER = "x-telnyx-streaming-auth-token"
TOKEN_PATIENCE_SECONDS = 5.0
"""How long a socket without the header may take to send the token in its first frame."""
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 503


def create_app(task: MediaTask) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with task.running():
            yield

    async def media_bridge(socket: WebSocket) -> None:
        call_id = socket.path_params["call_id"]
        with call_on_every_line(task.services.log, call_id):
            await _Door(task, socket, call_id).open()

    async def healthz(_: Request) -> Response:
        # Healthy also while full or draining: ECS stops a task that its balancer calls unhealthy.
        return JSONResponse({"status": "ok"})

    routes = [
        WebSocketRoute("/media-bridge/{call_id}", media_bridge),
        Route("/healthz", healthz),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class _Door:
    """One media socket, from its upgrade to its end."""

    def __init__(self, task: MediaTask, socket: WebSocket, call_id: str) -> None:
        self._task = task
        self._services = task.services
        self._log = task.services.log
        self._socket = socket
        self._call_id = call_id

    async def open(self) -> None:
        if not self._task.has_room:
            await self._refuse(TRY_AGAIN_LATER, "no free slot")
            return
        with self._task.slot():
            try:
                call, config = await self._admit()
            except InvalidToken as error:
                await self._refuse(401, str(error))
            except (UnknownCall, InvalidTransition) as error:
                await self._refuse(409, str(error))
            except WebSocketDisconnect:
                self._log.warning("media socket refused", reason="closed before its token came")
            else:
                await self._carry(call, config)

    async def _carry(self, call: Call, config: CallConfig) -> None:
        if self._socket.application_state is WebSocketState.CONNECTING:
            await self._socket.accept()
        self._log.info("media socket accepted")
        session = CallSession(call, config, self._socket, self._services)
        try:
            await self._task.carry(self._call_id, session)
        finally:
            await self._close(1000)

    async def _admit(self) -> tuple[Call, CallConfig]:
        """Check the token, then claim the call: whoever comes second with a token fails here."""
        settings, now_ms = self._services.settings, self._services.now_ms()
        token = self._socket.headers.get(TOKEN_HEADER) or await self._token_of_first_frame()
        number = stream_token.verify(settings.stream_token_secret, token, self._call_id, now_ms)
        return await asyncio.to_thread(
            self._claim, MediaAttached(number, self._task.task_id, now_ms)
        )

    def _claim(self, attached: MediaAttached) -> tuple[Call, CallConfig]:
        call = self._services.switchboard.apply(self._call_id, attached)
        return call, self._services.store.config(self._call_id) or CallConfig()

    async def _token_of_first_frame(self) -> str:
        """Telnyx sends the token twice; a proxy may have taken the header away."""
        await self._socket.accept()
        try:
            async with asyncio.timeout(TOKEN_PATIENCE_SECONDS):
                frame = media.decode(await self._socket.receive_text())
        except (TimeoutError, KeyError, media.MalformedFrame) as error:
            raise InvalidToken("The media socket brought no token.") from error
        token = frame.auth_token if isinstance(frame, media.Connected) else None
        if not token:
            raise InvalidToken("The media socket brought no token.")
        return token

    async def _refuse(self, http_status: int, reason: str) -> None:
        self._log.warning("media socket refused", reason=reason, http_status=http_status)
        if self._socket.application_state is not WebSocketState.CONNECTING:
            await self._close(POLICY_VIOLATION)
            return
        answer = JSONResponse({"error": {"code": "refused", "message": reason}}, http_status)
        await self._socket.send_denial_response(answer)

    async def _close(self, code: int) -> None:
        # Either side may have closed it before; neither can be asked.
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code)
