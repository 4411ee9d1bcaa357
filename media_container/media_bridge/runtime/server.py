"""The container's two doors: `/media-bridge/{call_id}/{stream}` for Telnyx and browsers, `/healthz`
for the balancer.

Telnyx sends its token in a header. A browser cannot set headers, so it sends the token in its first
frame, from any origin: no cookie says who it is.

Nothing is spent on a socket before its token is checked: until then it has none of the slots.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from picows import (
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.runtime.call_session import CallSession
from media_bridge.runtime.continuation import Continuation, continuation_of
from media_bridge.runtime.pending_sockets import PendingSockets
from media_bridge.runtime.retries import WRITE_FAILURES
from media_bridge.runtime.speech_cache import FoundClips
from media_bridge.runtime.websocket import (
    INTERNAL_ERROR,
    OTHER_SOCKET,
    POLICY_VIOLATION,
    TOKEN_REFUSED,
    TRY_AGAIN_LATER,
    Buffer,
    WebSocket,
)
from media_bridge.runtime.worker import MediaWorker
from phonebridge import stream_token
from phonebridge.call.call import MAX_STREAM_NUMBER, Call
from phonebridge.call.config import CallConfig
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
MAX_FRAME_BYTES = 1024 * 1024
"""The longest message Telnyx may send or take, 30 s of G.711 in base64, is a third of it."""
MAX_BUFFERED_BYTES = 128 * 1024
"""Five seconds of frames and more, while the call is being claimed."""
CLAIM_SECONDS = 30.0
"""How long a claim is tried while the table fails. After that, the call needs another stream."""
_JSON = {"Content-Type": "application/json"}

Job = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class _ClaimedCall:
    call: Call
    config: CallConfig
    greeting: CachedGreeting | None
    clips: FoundClips
    before: Continuation | None = None


@asynccontextmanager
async def run_server(worker: MediaWorker, host: str, port: int) -> AsyncIterator[asyncio.Server]:
    """Take calls until the context ends; a call that runs then, in spite of a drain, ends there."""
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


class _PhoneSocket(WebSocket):
    """Keeps what comes before its call is claimed."""

    max_message_bytes = MAX_FRAME_BYTES

    def __init__(self, on_open: Callable[["_PhoneSocket"], None]) -> None:
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


class _UpgradeHandler:
    def __init__(self, worker: MediaWorker, calls: asyncio.TaskGroup) -> None:
        self._worker = worker
        self._services = worker.services
        self._log = worker.services.log
        self._calls = calls
        self._carried: set[asyncio.Task[None]] = set()
        self._pending = PendingSockets()
        self._open_streams: set[tuple[str, int]] = set()

    def on_upgrade(
        self, request: WSUpgradeRequest
    ) -> WSUpgradeResponseWithListener | WebSocket | None:
        """None is answered 404."""
        path = request.path.decode("latin-1").partition("?")[0]
        if path == "/healthz":
            # Also while full or draining: ECS stops a task that its balancer calls unhealthy.
            return _with_response(WSUpgradeResponse.create_ok_response(b'{"status":"ok"}', _JSON))
        _name_upgrade_alone(request)
        call_id, _, number = path.removeprefix(MEDIA_PATH).partition("/")
        if not path.startswith(MEDIA_PATH) or not call_id or number not in STREAM_NUMBERS:
            return None
        with call_on_every_line(self._log, call_id):
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
        return _PhoneSocket(lambda phone: self._start_call(call_id, number, phone))

    def _open_pending(
        self, call_id: str, number: int, address: str
    ) -> WSUpgradeResponseWithListener | WebSocket:
        if not self._pending.has_room(address):
            return self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "too many sockets without a token")
        return _PhoneSocket(lambda phone: self._wait_for_token(call_id, number, address, phone))

    def _start_call(self, call_id: str, number: int, phone: _PhoneSocket) -> None:
        """The slot is taken at once: other sockets may open before the task begins."""
        self._worker.take_slot(call_id)
        self._run(call_id, phone, partial(self._carry, call_id, number, phone))

    def _wait_for_token(self, call_id: str, number: int, address: str, phone: _PhoneSocket) -> None:
        self._pending.add(address)
        self._run(call_id, phone, partial(self._read_token, call_id, number, address, phone))

    def _run(self, call_id: str, phone: _PhoneSocket, job: Job) -> None:
        carried = self._calls.create_task(self._guard(call_id, phone, job))
        self._carried.add(carried)
        carried.add_done_callback(self._carried.discard)

    def cancel_all(self) -> None:
        for carried in self._carried:
            carried.cancel()

    def _refuse(self, status: HTTPStatus, reason: str) -> WSUpgradeResponseWithListener:
        self._log.warning("media socket refused", reason=reason, http_status=status)
        body = msgspec.json.encode({"error": {"code": "refused", "message": reason}})
        return _with_response(WSUpgradeResponse.create_error_response(status, body, _JSON))

    def _verify(self, token: str, call_id: str, number: int) -> None:
        secret = self._services.settings.stream_token_secret
        if stream_token.verify(secret, token, call_id, self._services.now_ms()) != number:
            raise InvalidToken("The stream token was issued for another stream of this call.")

    async def _guard(self, call_id: str, phone: _PhoneSocket, job: Job) -> None:
        with call_on_every_line(self._log, call_id):
            try:
                await job()
            except (InvalidToken, UnknownCall, InvalidTransition) as error:
                self._log.warning("media socket refused", reason=str(error))
                phone.close(self._refusal_code(call_id, phone))
            except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
                self._log.exception("media socket FAILED")
                phone.close(INTERNAL_ERROR)

    def _refusal_code(self, call_id: str, phone: _PhoneSocket) -> int:
        if phone.has_header:
            return POLICY_VIOLATION
        return OTHER_SOCKET if self._worker.carries(call_id) else TOKEN_REFUSED

    async def _read_token(
        self, call_id: str, number: int, address: str, phone: _PhoneSocket
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

    async def _carry(self, call_id: str, number: int, phone: _PhoneSocket) -> None:
        self._open_streams.add((call_id, number))
        try:
            task_id = self._worker.task_id
            claim = partial(self._claim, MediaAttached(number, task_id, self._services.now_ms()))
            found = await self._try_claim(partial(claim, call_id))
            if self._worker.task_id != task_id:
                raise InvalidTransition(f"Call {call_id} was claimed for a task that is over.")
            self._log.info("media socket accepted")
            session = CallSession(
                found.call,
                found.config,
                found.greeting,
                phone,
                self._services,
                found.clips,
                found.before,
            )
            self._worker.end_earlier_session(call_id)
            phone.release()
            await self._worker.run_session(found.call, session)
        finally:
            self._open_streams.discard((call_id, number))
            self._worker.free_slot(call_id)

    async def _try_claim(self, claim: Callable[[], _ClaimedCall]) -> _ClaimedCall:
        """A claim whose answer got lost may have been written. Then the next attempt finds it."""
        attempt, ends_at = 0, asyncio.get_running_loop().time() + CLAIM_SECONDS
        while True:
            attempt += 1
            try:
                return await self._services.threads.run(claim)
            except WRITE_FAILURES as error:
                if asyncio.get_running_loop().time() >= ends_at:
                    raise
                self._log.warning("call not claimed yet", reason=str(error))
                await self._services.pauses.wait(attempt)

    def _claim(self, attached: MediaAttached, call_id: str) -> _ClaimedCall:
        """Claim the call. A second socket with the same token fails here. The claim comes last:
        once the call is ours, nothing may fail before its session runs."""
        config, before = self._settings_and_past(call_id, attached.stream_number)
        greeting, clips = self._recorded_speech(config)
        call = self._services.switchboard.apply(call_id, attached)
        if before:
            self._services.metrics.stream_restarted()
        return _ClaimedCall(call, config, greeting, clips, before)

    def _settings_and_past(
        self, call_id: str, number: int
    ) -> tuple[CallConfig, Continuation | None]:
        """A first stream has no past, and most calls have no second one."""
        if number == 1:
            return self._services.store.config(call_id) or CallConfig(), None
        record = self._services.store.record(call_id)
        if record is None:
            raise UnknownCall(call_id)
        config = self._services.store.latest_config(call_id) or CallConfig()
        return config, continuation_of(record, self._services.now_ms())

    def _recorded_speech(self, config: CallConfig) -> tuple[CachedGreeting | None, FoundClips]:
        """A call does without it: it is greeted a little later, and has no clips."""
        cache = self._services.speech_cache
        try:
            return cache.find_greeting(config), cache.find_clips(config)
        except (BotoCoreError, ClientError, msgspec.ValidationError) as error:
            self._log.error("recorded speech not read", reason=str(error))
            return None, FoundClips()


def _name_upgrade_alone(request: WSUpgradeRequest) -> None:
    """picows refuses `Connection: keep-alive, Upgrade`, which some clients and proxies send: the
    header is a list (RFC 9110, 7.6.1)."""
    named = ",".join(request.headers.getall("Connection", [])).lower().split(",")
    if "upgrade" in (each.strip() for each in named):
        request.headers["Connection"] = "Upgrade"


def _last_hop(request: WSUpgradeRequest) -> str:
    """The address that the balancer in front of us saw: it appends it to what the client sent
    (Application Load Balancers, "X-Forwarded-For"). Empty without a balancer."""
    hops = ",".join(request.headers.getall("X-Forwarded-For", []))
    return hops.rpartition(",")[2].strip()


def _with_response(response: WSUpgradeResponse) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(response, None)


async def _first_frame(phone: _PhoneSocket) -> media.Connected:
    """A browser sends the token in this frame alone. Telnyx sends it twice; a proxy may have taken
    the header away."""
    try:
        async with asyncio.timeout(TOKEN_TIMEOUT_SECONDS):
            frame = media.decode(await phone.first_message)
    except (TimeoutError, asyncio.CancelledError, media.MalformedFrame) as error:
        raise InvalidToken("The media socket brought no token.") from error
    if not (isinstance(frame, media.Connected) and frame.auth_token):
        raise InvalidToken("The media socket brought no token.")
    return frame
