"""The asyncio shell of one call: two sockets and one timer around a bridge.

It reads, lets the bridge answer, and carries the commands out in their order. It decides nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from media_bridge import commands, events, line
from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand
from media_bridge.openai.client import ModelUnreachable, open_session
from media_bridge.openai.protocol import ModelCommand, RealtimeProtocol
from media_bridge.records import Records
from phonebridge.call import (
    Call,
    CallConfig,
    CallEvent,
    CallFailed,
    EndRequested,
    Fault,
    MediaReported,
    Turn,
)
from phonebridge.settings import MediaSettings
from phonebridge.store import DynamoCallStore
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx import media

SEND_SECONDS = 5.0
"""A peer that does not read for this long is gone."""
LOST_MEDIA_GRACE_SECONDS = 3.0
"""After a media socket closed without `stop`: mostly the caller hung up, and a webhook says so."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every call of a process shares."""

    settings: MediaSettings
    store: DynamoCallStore
    switchboard: Switchboard
    log: Logger
    now_ms: Callable[[], int]


class CallSession:
    def __init__(
        self, call: Call, config: CallConfig, phone: WebSocket, services: Services
    ) -> None:
        self._call = call
        self._phone = phone
        self._services = services
        self._log = services.log
        self._loop = asyncio.get_running_loop()
        self._bridge = Bridge(call, config, services.settings.model_audio, self._loop.time())
        self._protocol = RealtimeProtocol(config, services.settings.model_audio)
        self._records = Records(services.log)
        self._model: ClientConnection | None = None
        self._inbox: asyncio.Queue[events.BridgeEvent] = asyncio.Queue()
        self._one_at_a_time = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._over = asyncio.Event()
        self._lost = False

    def post(self, event: events.BridgeEvent) -> None:
        """Something happened outside the call's own sockets."""
        self._inbox.put_nowait(event)

    async def run(self) -> None:
        """Carry the call until its end, then write down what is left to write."""
        async with asyncio.TaskGroup() as writing:
            writing.create_task(self._records.write())
            try:
                await self._carry()
            except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
                self._log.exception("call session crashed")
                self._leave(commands.FailCall("bridge_crashed", "the media bridge had a fault"))
            finally:
                self._conclude()
        if self._lost:
            await asyncio.sleep(LOST_MEDIA_GRACE_SECONDS)
            fault = Fault("media_lost", "the media socket closed", self._services.now_ms())
            await asyncio.to_thread(self._apply, CallFailed(fault))

    async def _carry(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._listen_to_phone()),
                tasks.create_task(self._listen_to_model()),
                tasks.create_task(self._read_inbox()),
            ]
            await self._over.wait()
            for task in running:
                task.cancel()

    def _conclude(self) -> None:
        if self._timer:
            self._timer.cancel()
        report = MediaReported(self._bridge.activity, self._bridge.usage)
        self._records.add(lambda: self._apply(report))
        self._records.close()

    async def _listen_to_phone(self) -> None:
        try:
            while True:
                message = await self._phone.receive()
                if message["type"] == "websocket.disconnect":
                    break
                frame = message.get("text") or message.get("bytes") or b""
                if event := line.heard(frame):
                    await self._step(event)
        except WebSocketDisconnect:
            pass
        await self._step(events.StreamLost())

    async def _listen_to_model(self) -> None:
        try:
            async with open_session(self._services.settings) as self._model:
                self._log.info("model connected")
                await self._read_model(self._model)
        except ModelUnreachable as error:
            await self._step(events.ModelClosed(1006, str(error)))

    async def _read_model(self, model: ClientConnection) -> None:
        try:
            while True:
                if event := self._protocol.decode(await model.recv(decode=False)):
                    await self._step(event)
        except ConnectionClosed:
            closed = events.ModelClosed(model.close_code or 1006, model.close_reason or "")
        self._log.info("model disconnected", code=closed.code, reason=closed.reason)
        await self._step(closed)

    async def _read_inbox(self) -> None:
        while True:
            await self._step(await self._inbox.get())

    async def _step(self, event: events.BridgeEvent) -> None:
        async with self._one_at_a_time:
            for command in self._bridge.handle(event, self._loop.time()):
                await self._carry_out(command)
            self._set_timer()

    def _set_timer(self) -> None:
        """Never later than the bridge's deadline. A timer that fires early costs one look, so it
        is not moved for every frame that puts a deadline off."""
        deadline = self._bridge.next_deadline()
        if deadline is None or (self._timer and self._wakes_at <= deadline):
            return
        if self._timer:
            self._timer.cancel()
        self._wakes_at = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.post(events.DeadlinePassed())

    async def _carry_out(self, command: BridgeCommand) -> None:
        match command:
            case commands.PlayAudio(payload):
                await self._tell_phone(media.encode_media(payload))
            case commands.ClearPlayback():
                await self._tell_phone(media.CLEAR)
            case commands.RecordTurn(turn):
                self._record_turn(turn)
            case commands.EndCall(by):
                self._log.info("ending call", by=by)
                self._records.add(lambda: self._apply(EndRequested(by)))
            case commands.FailCall() | commands.LeaveCall():
                self._leave(command)
            case commands.Log(level, message, detail):
                getattr(self._log, level)(message, detail=detail)
            case _:
                await self._tell_model(command)

    def _leave(self, command: commands.FailCall | commands.LeaveCall) -> None:
        match command:
            case commands.FailCall(reason, detail):
                self._log.error("call FAILED", reason=reason, detail=detail)
                fault = Fault(reason, detail, self._services.now_ms())
                self._records.add(lambda: self._apply(CallFailed(fault)))
            case commands.LeaveCall(lost):
                self._log.info("media stream ended", lost=lost)
                self._lost = lost
        self._over.set()

    def _record_turn(self, turn: Turn) -> None:
        self._records.add(lambda: self._services.store.add_turn(self._call.call_id, turn))

    def _apply(self, event: CallEvent) -> None:
        self._services.switchboard.apply(self._call.call_id, event)

    async def _tell_phone(self, frame: str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._phone.send_text(frame)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            # The reader of this socket learns of the close too, but not of a peer that stalls.
            self.post(events.StreamLost())

    async def _tell_model(self, command: ModelCommand) -> None:
        if self._model is None:
            return
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._model.send(self._protocol.encode(command), text=True)
        except TimeoutError:
            self.post(events.ModelClosed(1006, "the model's server does not read"))
        except ConnectionClosed:
            pass  # The reader of this socket reports the close, with its code.
