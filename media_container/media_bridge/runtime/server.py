"""The server of the container: `/media-bridge/{call_id}/{stream}` for Telnyx and browsers,
`/healthz` for the balancer.

Telnyx sends its token in a header. A browser cannot set headers, so it sends the token in its first
frame, from any origin: no cookie says who it is.

Nothing is spent on a socket before its token is checked: until then it has none of the slots.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

import msgspec
from picows import (
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from media_bridge.runtime.call_claims import CallClaims
from media_bridge.runtime.call_session import CallSession
from media_bridge.runtime.pending_sockets import PendingSockets
from media_bridge.runtime.phone_socket import MAX_FRAME_BYTES, PhoneSocket
from media_bridge.runtime.websocket import (
    INTERNAL_ERROR,
    OTHER_SOCKET,
    POLICY_VIOLATION,
    TOKEN_REFUSED,
    TRY_AGAIN_LATER,
    WebSocket,
)
from media_bridge.runtime.worker import MediaWorker
from phonebridge import stream_token
from phonebridge.call.call import MAX_STREAM_NUMBER
from phonebridge.call.events import MediaAttached
from phonebridge.errors import InvalidToken, InvalidTransition, UnknownCall
from phonebridge.observability.log import call_on_every_line
from phonebridge.telnyx import media

MEDIA_PATH = "/media-bridge/"
STREAM_NUMBERS = frozenset(str(number) for number in range(1, MAX_STREAM_NUMBER + 1))
TOKEN_HEADER = "x-telnyx-streaming-auth-token"
TOKEN_TIMEOUT_SECONDS = 5.0
"""How long a socket without the header may take to send the token in its first frame."""
PING_SECONDS = 8.0
"""A socket that brings nothing for so long is pinged. A line on hold answers, and goes on."""
PONG_TIMEOUT_SECONDS = 2.0
"""A socket that does not answer a ping in time is half-open, and the call needs another one."""
CLAIM_SECONDS = 30.0
"""How long a claim is tried while the table fails. After that, the call needs another stream."""
_JSON = {"Content-Type": "application/json"}
_VERSION_HEADER, _VERSION = "Sec-WebSocket-Version", "13"
"""The only version of WebSocket (RFC 6455, 4.2.1)."""

Job = Callable[[], Coroutine[None, None, None]]


@asynccontextmanager
async def run_server(worker: MediaWorker, host: str, port: int) -> AsyncIterator[asyncio.Server]:
    """Take calls until the context ends. A call that still runs then ends too."""
    async with asyncio.TaskGroup() as calls:
        door = _UpgradeHandler(worker, calls)
        server = await ws_create_server(
            door.on_upgrade,
            host,
            port,
            max_frame_size=MAX_FRAME_BYTES,
            enable_auto_ping=True,
            auto_ping_idle_timeout=PING_SECONDS,
            auto_ping_reply_timeout=PONG_TIMEOUT_SECONDS,
        )
        try:
            yield server
        finally:
            server.close()
            door.cancel_all()


class _UpgradeHandler:
    def __init__(self, worker: MediaWorker, calls: asyncio.TaskGroup) -> None:
        self._worker = worker
        self._services = worker.services
        self._log = worker.services.log
        self._calls = calls
        self._carried: set[asyncio.Task[None]] = set()
        self._pending = PendingSockets()
        self._claims = CallClaims(worker.services, CLAIM_SECONDS)
        self._open_streams: set[tuple[str, int]] = set()

    def on_upgrade(
        self, request: WSUpgradeRequest
    ) -> WSUpgradeResponseWithListener | WebSocket | None:
        """Answer an upgrade request. None becomes a 404."""
        path = request.path.decode("latin-1").partition("?")[0]
        if path == "/healthz":
            # Also while full or draining: ECS stops a task that its balancer calls unhealthy.
            return _with_response(WSUpgradeResponse.create_ok_response(b'{"status":"ok"}', _JSON))
        _name_upgrade_alone(request)
        call_id, _, number = path.removeprefix(MEDIA_PATH).partition("/")
        if not path.startswith(MEDIA_PATH) or not call_id or number not in STREAM_NUMBERS:
            return None
        with call_on_every_line(self._log, call_id):
            if not _has_known_version(request):
                headers = _JSON | {_VERSION_HEADER: _VERSION}
                return self._refuse(HTTPStatus.UPGRADE_REQUIRED, "unknown version", headers)
            if token := request.headers.get(TOKEN_HEADER):
                return self._open_media(call_id, int(number), token)
            # A browser learns why it is refused from a close code only, so its socket opens first.
            return self._open_pending(call_id, int(number), _last_hop(request))

    def _open_media(
        self, call_id: str, number: int, token: str
    ) -> WSUpgradeResponseWithListener | WebSocket:
        if not self._worker.has_room:
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "no free slot")
        try:
            self._verify(token, call_id, number)
        except InvalidToken as error:
            return self._refuse(HTTPStatus.UNAUTHORIZED, str(error))
        if self._worker.carries(call_id, number):
            return self._refuse(HTTPStatus.CONFLICT, "the call has its media socket")
        return PhoneSocket(lambda phone: self._start_call(call_id, number, phone))

    def _open_pending(
        self, call_id: str, number: int, address: str
    ) -> WSUpgradeResponseWithListener | WebSocket:
        if not self._pending.has_room(address):
            return self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "too many sockets without a token")
        return PhoneSocket(lambda phone: self._wait_for_token(call_id, number, address, phone))

    def _start_call(self, call_id: str, number: int, phone: PhoneSocket) -> None:
        """Start the call in a task. The slot is taken at once, because other sockets may open
        before the task begins."""
        self._worker.take_slot(call_id)
        self._run(call_id, phone, partial(self._carry, call_id, number, phone))

    def _wait_for_token(self, call_id: str, number: int, address: str, phone: PhoneSocket) -> None:
        self._pending.add(address)
        self._run(call_id, phone, partial(self._read_token, call_id, number, address, phone))

    def _run(self, call_id: str, phone: PhoneSocket, job: Job) -> None:
        carried = self._calls.create_task(self._guard(call_id, phone, job))
        self._carried.add(carried)
        carried.add_done_callback(self._carried.discard)

    def cancel_all(self) -> None:
        for carried in self._carried:
            carried.cancel()

    def _refuse(
        self, status: HTTPStatus, reason: str, headers: Mapping[str, str] = _JSON
    ) -> WSUpgradeResponseWithListener:
        self._log.warning("media socket refused", reason=reason, http_status=status)
        body = msgspec.json.encode({"error": {"code": "refused", "message": reason}})
        return _with_response(WSUpgradeResponse.create_error_response(status, body, headers))

    def _verify(self, token: str, call_id: str, number: int) -> None:
        secret = self._services.settings.stream_token_secret
        if stream_token.verify(secret, token, call_id, self._services.now_ms()) != number:
            raise InvalidToken("The stream token was issued for another stream of this call.")

    async def _guard(self, call_id: str, phone: PhoneSocket, job: Job) -> None:
        with call_on_every_line(self._log, call_id):
            try:
                await job()
            except (InvalidToken, UnknownCall, InvalidTransition) as error:
                self._log.warning("media socket refused", reason=str(error))
                phone.close(self._refusal_code(call_id, phone))
            except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
                self._log.exception("media socket FAILED")
                phone.close(INTERNAL_ERROR)

    def _refusal_code(self, call_id: str, phone: PhoneSocket) -> int:
        if phone.has_header:
            return POLICY_VIOLATION
        return OTHER_SOCKET if self._worker.carries(call_id) else TOKEN_REFUSED

    async def _read_token(
        self, call_id: str, number: int, address: str, phone: PhoneSocket
    ) -> None:
        """Accept a socket. It takes no slot before its token was checked."""
        phone.has_header = False
        try:
            frame = await _first_frame(phone)
            self._verify(frame.auth_token or "", call_id, number)
        finally:
            self._pending.remove(address)
        if (call_id, number) in self._open_streams:
            raise InvalidTransition(f"Stream {number} of call {call_id} is open already.")
        if not self._worker.has_room or self._worker.carries(call_id, number):
            self._log.warning("media socket refused", reason="no free slot, or carried already")
            phone.close(TRY_AGAIN_LATER)
            return
        self._worker.take_slot(call_id)
        await self._carry(call_id, number, phone)

    async def _carry(self, call_id: str, number: int, phone: PhoneSocket) -> None:
        self._open_streams.add((call_id, number))
        try:
            task_id = self._worker.task_id
            attached = MediaAttached(number, task_id, self._services.now_ms())
            claimed = await self._claims.claim(call_id, attached)
            if self._worker.task_id != task_id:
                raise InvalidTransition(f"Call {call_id} was claimed for a task that is over.")
            self._log.info("media socket accepted")
            session = CallSession(claimed, phone, self._services)
            self._worker.end_earlier_session(call_id)
            phone.release()
            await self._worker.run_session(claimed.call, session)
        finally:
            self._open_streams.discard((call_id, number))
            self._worker.free_slot(call_id)


def _name_upgrade_alone(request: WSUpgradeRequest) -> None:
    """Reduce the header to the upgrade. picows refuses `Connection: keep-alive, Upgrade`, which
    some clients and proxies send. The header is a list (RFC 9110, 7.6.1)."""
    named = ",".join(request.headers.getall("Connection", [])).lower().split(",")
    if "upgrade" in (each.strip() for each in named):
        request.headers["Connection"] = "Upgrade"


def _has_known_version(request: WSUpgradeRequest) -> bool:
    """Check the version before picows does, which fails to refuse one that is not ASCII. A request
    without the header is no upgrade, and picows refuses it."""
    return request.headers.get(_VERSION_HEADER, _VERSION) == _VERSION


def _last_hop(request: WSUpgradeRequest) -> str:
    """Return the client's address as the balancer saw it, or an empty text without a balancer. The
    balancer appends it to the client's header (Application Load Balancers, "X-Forwarded-For")."""
    hops = ",".join(request.headers.getall("X-Forwarded-For", []))
    return hops.rpartition(",")[2].strip()


def _with_response(response: WSUpgradeResponse) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(response, None)


async def _first_frame(phone: PhoneSocket) -> media.Connected:
    """Read the first frame. A browser sends the token only there. Telnyx sends it twice, and a
    proxy may have removed the header."""
    try:
        async with asyncio.timeout(TOKEN_TIMEOUT_SECONDS):
            frame = media.decode(await phone.first_message)
    except (TimeoutError, asyncio.CancelledError, media.MalformedFrame) as error:
        raise InvalidToken("The media socket brought no token.") from error
    if not (isinstance(frame, media.Connected) and frame.auth_token):
        raise InvalidToken("The media socket brought no token.")
    return frame
