"""The connection of one call to the model. A new session replaces the present one. Frames of an old
socket no longer count, and a socket that opens too late is closed.

Whatever an old socket still delivers counts no more, and one that opens too late is closed.
"""

import asyncio
from collections.abc import Callable

from media_bridge import events
from media_bridge.commands import ModelCommand, RestoreHistory
from media_bridge.runtime.call_log import CallLog
from media_bridge.runtime.model_port import ModelProtocol, ModelUnreachable
from media_bridge.runtime.services import Services
from media_bridge.runtime.websocket import Buffer, WebSocket
from media_bridge.scrubbing import scrub
from phonebridge.call.config import CallConfig


class ModelSocket:
    def __init__(
        self,
        call_id: str,
        config: CallConfig,
        services: Services,
        log: CallLog,
        dispatch: Callable[[events.BridgeEvent], None],
        crash: Callable[[], None],
    ) -> None:
        self._call_id = call_id
        self._services = services
        self._log = log
        self._dispatch = dispatch
        self._crash = crash
        self._loop = asyncio.get_running_loop()
        self.socket = WebSocket()
        self.protocol: ModelProtocol = services.model.protocol(config)
        self._opening: asyncio.Task[None] | None = None

    def open(self, config: CallConfig, tasks: asyncio.TaskGroup) -> None:
        """Open a session with these settings in place of the present one."""
        self.close()
        socket, protocol = WebSocket(), self._services.model.protocol(config)
        socket.on_message = self._reader(protocol)
        socket.on_close = self._on_close
        protocol.on_repair = self._on_repair
        self.socket, self.protocol = socket, protocol
        self._opening = tasks.create_task(self._open(config, socket))

    def close(self) -> None:
        """Close the session, and ignore its last frames."""
        self.socket.on_message = lambda _: None
        self.socket.on_close = self._log_close
        self.socket.close()
        if self._opening:
            self._opening.cancel()

    def send(self, command: ModelCommand) -> None:
        protocol = self.protocol
        self.socket.send(protocol.encode(command))
        if event := protocol.implied_event(command):
            self._loop.call_soon(self._imply, protocol, event)

    def restore(self, command: RestoreHistory) -> None:
        for item in command.items:
            self.send(item)

    async def _open(self, config: CallConfig, socket: WebSocket) -> None:
        started = self._loop.time()
        try:
            with self._services.tracer.span(self._call_id, "model connect"):
                await self._services.model.connect(config, socket)
        except ModelUnreachable as error:
            self._services.metrics.model_unreachable()
            reason = scrub(str(error))
            self._log.write("warning", "model unreachable", reason=reason)
            self._dispatch(events.ConnectFailed(reason, error.status, error.retry_after))
        except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
            self._crash()
        else:
            self._services.metrics.model_connected(self._loop.time() - started)
            self._log.write("info", "model connected")

    def _imply(self, protocol: ModelProtocol, event: events.ModelEvent) -> None:
        if protocol is self.protocol:
            self._dispatch(event)

    def _reader(self, protocol: ModelProtocol) -> Callable[[Buffer], None]:
        """Return the reader of one session. A closure saves looking up constant values at every
        message."""
        decode, dispatch = protocol.decode, self._dispatch

        def read(text: Buffer) -> None:
            if event := decode(text):
                dispatch(event)

        return read

    def _on_repair(self, event_type: str, absent: list[str]) -> None:
        self._log.write("warning", "model event repaired", event_type=event_type, absent=absent)

    def _on_close(self, code: int, reason: str) -> None:
        self._log_close(code, reason)
        self._dispatch(events.ModelClosed(code, scrub(reason)))

    def _log_close(self, code: int, reason: str) -> None:
        self._log.write("info", "model disconnected", code=code, reason=scrub(reason))
