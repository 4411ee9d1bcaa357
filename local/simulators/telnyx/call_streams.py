"""The media streams of one simulated call: how they are opened, replaced, disturbed and closed."""

import asyncio

from websockets.exceptions import WebSocketException

from simulators.telnyx import events
from simulators.telnyx.commands import ApiError, StreamSettings
from simulators.telnyx.media import MediaStream, StreamLeg
from simulators.telnyx.reports import ReportedCall

USER_ID = "3e6f995f-0000-4000-8000-000000000100"


class CallStreams:
    """A call has one stream at a time, but two sockets may be open while one replaces the other."""

    tasks: asyncio.TaskGroup
    """The tasks of the call, while it lives."""

    def __init__(self, call: ReportedCall, call_settled: asyncio.Event) -> None:
        """`call_settled` is set when the call is answered or over."""
        self._call = call
        self._call_settled = call_settled
        self.current: MediaStream | None = None
        self.early_stream_settled = asyncio.Event()
        """Set when the stream of the dial is open, has failed, or is no longer awaited."""
        self._open_streams: list[MediaStream] = []
        self._task: asyncio.Task[None] | None = None
        self._is_disturbed = False
        self._is_broken = False
        """The other side has ended the latest stream, and that keeps the next one from opening."""

    @property
    def is_streaming(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, settings: StreamSettings) -> None:
        self._check_start()
        if self.is_streaming and self._call.faults.undocumented.second_stream == "no_socket":
            return
        self._task = self.tasks.create_task(self._carry(settings))

    def _check_start(self) -> None:
        undocumented = self._call.faults.undocumented
        if self._is_broken and undocumented.start_after_break == "never":
            raise ApiError(422, "90046", "Media streaming failed to start")
        is_in_use = self.is_streaming and undocumented.second_stream == "refused"
        needs_stop = self._is_broken and undocumented.start_after_break == "needs_stop"
        if is_in_use or needs_stop:
            raise ApiError(422, "90045", "Media streaming is already in use for this call")

    def stop(self) -> None:
        if not (self.is_streaming or self._is_broken):
            raise ApiError(422, "90048", "Media streaming is not used for this call")
        if self._call.faults.undocumented.start_after_break != "never":
            self._is_broken = False
        self.tasks.create_task(self.stop_all())

    def disturb(self) -> None:
        """Disturb the stream once, when the faults of the call say so."""
        stream = self.current
        if stream is None or self._is_disturbed:
            return
        disturbance = self._call.faults.disturbance(stream.carried_ms)
        self._is_disturbed = disturbance is not None
        if disturbance == "second_socket":
            self.tasks.create_task(self._carry(stream.settings))
        elif disturbance == "close":
            self.tasks.create_task(stream.close())
        elif disturbance is not None:
            stream.disturb(disturbance)

    async def _carry(self, settings: StreamSettings) -> None:
        stream = MediaStream(settings, self._call.person.codec, self._call.faults, self._call.media)
        try:
            await self._open(stream)
        except (OSError, TimeoutError, WebSocketException) as error:
            self._call.notify("stream failed", str(error))
            self.early_stream_settled.set()
            if self.current is None:  # if a second socket fails, the first continues
                self._call.post_failed(stream)
            return
        self._open_streams.append(stream)
        try:
            if await self._answered_on(stream):
                await self._carry_audio(stream)
        finally:
            await stream.close()
            self._open_streams.remove(stream)
            self.early_stream_settled.set()

    async def _open(self, stream: MediaStream) -> None:
        if self._call.faults.streaming_fails or (
            self._call.faults.early_stream_fails and not self._call.answered
        ):
            raise OSError("connection_failed")
        await stream.open()

    async def _answered_on(self, stream: MediaStream) -> bool:
        """Whether the stream still exists when the call is answered."""
        limit_ms = self._call.faults.early_stream_closes_after_ms
        if limit_ms is None:
            self.early_stream_settled.set()
        closed = self.tasks.create_task(stream.wait_closed())
        settled = self.tasks.create_task(self._call_settled.wait())
        try:
            await asyncio.wait(
                {closed, settled},
                timeout=None if limit_ms is None else limit_ms / 1000,
                return_when=asyncio.FIRST_COMPLETED,
            )
            return self._call.state == "answered" and not closed.done()
        finally:
            closed.cancel()
            settled.cancel()

    async def _carry_audio(self, stream: MediaStream) -> None:
        await stream.start(self._leg())
        replaced, self.current = self.current, stream
        self._is_broken = False
        if replaced and self._call.faults.undocumented.second_stream == "replaces":
            self.tasks.create_task(replaced.stop(self._leg()))
        known = self._call.faults.undocumented.has_stream_id_in_started
        stream_id = {"stream_id": stream.stream_id} if known else {}
        url = stream.settings.stream_url
        self._call.post(events.StreamingStartedPayload, stream_url=url, **stream_id)
        await stream.listen()
        # A stream that another socket has replaced ends without a webhook.
        if self.current is stream:
            self.current = None
            self._report_end(stream)

    def _report_end(self, stream: MediaStream) -> None:
        undocumented = self._call.faults.undocumented
        is_broken = not stream.is_closed_here
        self._is_broken = is_broken and undocumented.start_after_break != "works"
        how = undocumented.after_break if is_broken else "stopped"
        match how:
            case "stopped":
                self.tasks.create_task(self._call.report_stopped(stream.settings.stream_url))
            case "failed":
                self._call.post_failed(stream)
            case "reconnects":
                self._task = self.tasks.create_task(self._carry(stream.settings))
            case "nothing":
                pass

    async def stop_all(self) -> None:
        if self.current is None and self._task is not None:
            self._task.cancel()
        for stream in list(self._open_streams):
            await stream.stop(self._leg())

    def _leg(self) -> StreamLeg:
        return StreamLeg(
            user_id=USER_ID,
            call_control_id=self._call.call_control_id,
            call_session_id=self._call.plan.call_session_id,
            from_=self._call.from_,
            to=self._call.to,
            client_state=self._call.client_state,
        )
