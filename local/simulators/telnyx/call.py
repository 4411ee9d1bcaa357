"""One simulated call from ringing to hangup, driven by the audio clock."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from websockets.exceptions import WebSocketException

from simulators.audio.speech import Samples
from simulators.telnyx import events
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.commands import ApiError, StreamSettings
from simulators.telnyx.machine import Machine
from simulators.telnyx.media import MediaStream, StreamLeg
from simulators.telnyx.person import FRAME_MS, SILENT_FRAME, FrameClock, PersonConversation
from simulators.telnyx.reports import CallEnding, CallPlan, ReportedCall, Reporter
from simulators.telnyx.sound import CallSound
from simulators.telnyx.webhooks import timestamp_now

NO_ANSWER_AFTER_MS = 500  # shorter than the real 30 s, so that a simulated no-answer is quick
CALLER_RINGS_MS = 30_000
DETECTION_TAKES_MS = 1500
SPEAKING_MS_PER_CHARACTER = 20
USER_ID = "3e6f995f-0000-4000-8000-000000000100"
End = Literal["person", "agent"]
BUSY = CallEnding("user_busy", "callee", "486")
REJECTED = CallEnding("call_rejected", "callee", "603")
CANCELED = CallEnding("originator_cancel", "caller", "487")
TIME_LIMIT = CallEnding("time_limit", "unknown", "200")
NO_MEDIA = CallEnding("media_timeout", "unknown", "200")


class Exchange(Reporter, Protocol):
    """What a call needs from the simulator."""

    calls: "list[SimulatedCall]"

    @property
    def wait_for_agent(self) -> Callable[[], Awaitable[bool]]: ...

    def place(self, plan: CallPlan, person: Person | None = None) -> "SimulatedCall": ...


class SimulatedCall(ReportedCall):
    def __init__(
        self,
        exchange: Exchange,
        plan: CallPlan,
        person: Person,
        faults: CarrierFaults,
        sound: CallSound | None = None,
    ) -> None:
        self.exchange = exchange
        super().__init__(exchange, plan, person, faults)
        kind = Machine if person.machine else PersonConversation
        self.conversation: PersonConversation = kind(person, self.notify)
        self._greeting_is_over = False
        self.ended = asyncio.Event()
        self.answered_s: float | None = None
        self.partner: SimulatedCall | None = None
        self.sound = sound
        """Receives the audio of both sides, even if the call is not recorded."""
        self.spoken: list[str] = []
        """What the carrier's own voice said to the person."""
        self._over = asyncio.Event()
        self._settled = asyncio.Event()
        self._early_stream_settled = asyncio.Event()
        """Set when the stream of the dial is open, has failed, or is no longer awaited."""
        self._tasks: asyncio.TaskGroup
        self._stream: MediaStream | None = None
        self._streams: list[MediaStream] = []
        self._stream_task: asyncio.Task[None] | None = None
        self._speaking = 0
        self._sounded_at_ms = 0
        self._is_stream_disturbed = False
        self._is_stream_broken = False
        """The other side has ended the latest stream, and that keeps the next one from opening."""
        self._luck = random.Random(1)

    @property
    def streaming(self) -> bool:
        return self._stream_task is not None and not self._stream_task.done()

    @property
    def stream(self) -> MediaStream | None:
        """The stream that carries the call now."""
        return self._stream

    @property
    def duration_s(self) -> int:
        return self.conversation.now_ms // 1000

    # Actions of either side.

    def hang_up(self, end: End = "person") -> None:
        side = self._side(end)
        if self.answered:
            self.end(CallEnding("normal_clearing", side, "200"))
        else:
            self.end(CANCELED if side == "caller" else REJECTED)

    def end(self, ending: CallEnding) -> None:
        if self.ending is None:
            self.ending = ending
            self.end_time = timestamp_now()
            self._settled.set()
            self._early_stream_settled.set()
            self._over.set()

    def pick_up(self) -> None:
        self.answered = True
        self.answered_s = time.monotonic()
        self.notify("answered", "")
        self.post(events.CallAnsweredPayload, codec=self.person.codec)
        self.post_detection_started()
        self._settled.set()
        if self.partner is not None:
            self.bridge(self.partner)

    def bridge(self, other: "SimulatedCall") -> None:
        self.partner, other.partner = other, self
        self.post(events.CallBridgedPayload)
        other.post(events.CallBridgedPayload)

    def speak(self, text: str) -> None:
        beside = self.faults.undocumented.speak_beside_stream if self._stream else "heard"
        if beside == "refused":
            raise ApiError(422, "90045", "Media streaming is already in use for this call")
        if beside == "never_started":
            return
        if beside == "heard":
            self.spoken.append(text)
            self.notify("hears", text)
        self.post(events.SpeakStartedPayload)
        self._speaking += 1
        self._tasks.create_task(self._finish_speaking(len(text) * SPEAKING_MS_PER_CHARACTER))

    async def press(self, digit: str) -> None:
        """Press a key of the person's phone."""
        self.post(events.DtmfReceivedPayload, digit=digit)
        if self._stream is not None:
            await self._stream.press(digit)

    def start_streaming(self, settings: StreamSettings) -> None:
        self._refuse_stream()
        if self.streaming and self.faults.undocumented.second_stream == "no_socket":
            return
        self._stream_task = self._tasks.create_task(self._carry_stream(settings))

    def _refuse_stream(self) -> None:
        undocumented = self.faults.undocumented
        if self._is_stream_broken and undocumented.start_after_break == "never":
            raise ApiError(422, "90046", "Media streaming failed to start")
        is_in_use = self.streaming and undocumented.second_stream == "refused"
        needs_stop = self._is_stream_broken and undocumented.start_after_break == "needs_stop"
        if is_in_use or needs_stop:
            raise ApiError(422, "90045", "Media streaming is already in use for this call")

    def stop_streaming(self) -> None:
        if not (self.streaming or self._is_stream_broken):
            raise ApiError(422, "90048", "Media streaming is not used for this call")
        if self.faults.undocumented.start_after_break != "never":
            self._is_stream_broken = False
        self._tasks.create_task(self._stop_streams())

    # From ringing to hangup.

    async def live(self) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            if self.plan.stream is not None:
                self.start_streaming(self.plan.stream)
            await self._ring()
            if self.state == "answered":
                await self._talk()
            await self._stop_streams()
        self._part_from_partner()
        self.post_ended()
        self.ended.set()

    async def _finish_speaking(self, takes_ms: int) -> None:
        try:
            async with asyncio.timeout(takes_ms / 1000):
                await self._over.wait()
        except TimeoutError:
            self.post(events.SpeakEndedPayload)
        else:
            self.post(events.SpeakEndedPayload, status="call_hangup")
        finally:
            self._speaking -= 1

    async def _ring(self) -> None:
        if self.plan.direction == "incoming":
            if not await self._settled_within(CALLER_RINGS_MS):
                self.end(CANCELED)
            return
        refuses, rings_ms = self.person.refuses, self.person.answers_after_ms
        unanswered = refuses == "no_answer" or rings_ms > self.plan.timeout_ms
        if unanswered:
            rings_ms = min(NO_ANSWER_AFTER_MS, self.plan.timeout_ms)
        if await self._settled_within(rings_ms):
            return
        if unanswered:
            self.end(CallEnding(self.plan.timeout_cause, "caller", "487"))
        elif refuses is not None:
            self.end(BUSY if refuses == "busy" else REJECTED)
        else:
            await self._answer()

    async def _answer(self) -> None:
        """Answer the call once the stream is open. Telnyx opens it within milliseconds, so no
        person answers before that."""
        if self.plan.stream is not None:
            await self._early_stream_settled.wait()
        if self.state == "ringing":
            self.pick_up()

    async def _settled_within(self, limit_ms: int) -> bool:
        try:
            async with asyncio.timeout(limit_ms / 1000):
                await self._settled.wait()
        except TimeoutError:
            return False
        return True

    async def _talk(self) -> None:
        now_s = asyncio.get_running_loop().time
        clock = FrameClock(now_s())
        for tick in itertools.count(1):
            if await self._has_waited_for_agent():
                clock = FrameClock(now_s())
            await self._exchange_frame()
            self._act_on_clock(tick * FRAME_MS)
            if self.ending is not None:
                return
            jitter_s = self._luck.uniform(0, self.faults.jitter_ms) / 1000
            await asyncio.sleep(max(0.0, clock.next_due_s(now_s()) + jitter_s - now_s()))

    async def _has_waited_for_agent(self) -> bool:
        """Wait only while the agent is audible. Meanwhile the person's speech may run ahead."""
        is_heard = self._stream is not None and self._stream.is_sounding
        return is_heard and await self.exchange.wait_for_agent()

    async def _exchange_frame(self) -> None:
        stream = self._stream
        received = await stream.play() if stream else SILENT_FRAME
        first_sound = self.conversation.first_audio_ms is None
        said = self.conversation.hear(received)
        if digit := self.conversation.take_key():
            await self.press(digit)
        self._record(said, received)
        if stream:
            await stream.carry(said)
        if first_sound and self.conversation.first_audio_ms is not None:
            self.notify("first audio", f"{self.conversation.first_audio_ms} ms after the answer")

    def _record(self, said: Samples, received: Samples) -> None:
        if self.sound:
            self.sound.add(said, received)
        if self.recording_id:
            self.recording.add(said, received)

    def _act_on_clock(self, now_ms: int) -> None:
        if self.conversation.goodbye is not None:
            self.notify("person hangs up", self.conversation.goodbye)
            self.hang_up()
        if now_ms >= self.person.max_call_ms:
            self.hang_up()
        if now_ms >= self.plan.time_limit_ms:
            self.end(TIME_LIMIT)
        if self._is_silent_too_long(now_ms):
            self.end(NO_MEDIA)
        if now_ms == DETECTION_TAKES_MS:
            self.post_detection()
        if not self._greeting_is_over and self._is_recorded_by_machine():
            self._greeting_is_over = True
            self.post_greeting_ended()
        if self._stream is not None and not self._is_stream_disturbed:
            self._disturb_stream(self._stream)

    def _is_silent_too_long(self, now_ms: int) -> bool:
        limit_ms = self.faults.undocumented.silent_leg_ends_after_ms
        if self._stream or self._speaking:
            self._sounded_at_ms = now_ms
        return limit_ms is not None and now_ms - self._sounded_at_ms >= limit_ms

    def _disturb_stream(self, stream: MediaStream) -> None:
        """Does once what the faults of the call ask for, so long after the stream's start."""
        disturbance = self.faults.disturbance(stream.carried_ms)
        self._is_stream_disturbed = disturbance is not None
        if disturbance == "second_socket":
            self._tasks.create_task(self._carry_stream(stream.settings))
        elif disturbance == "close":
            self._tasks.create_task(stream.close())
        elif disturbance is not None:
            stream.disturb(disturbance)

    def _is_recorded_by_machine(self) -> bool:
        return isinstance(self.conversation, Machine) and self.conversation.is_recording

    async def _carry_stream(self, settings: StreamSettings) -> None:
        stream = MediaStream(settings, self.person.codec, self.faults, self.media)
        try:
            await self._open(stream)
        except (OSError, TimeoutError, WebSocketException) as error:
            self.notify("stream failed", str(error))
            self._early_stream_settled.set()
            if self._stream is None:  # if a second socket fails, the first continues
                self.post_failed(stream)
            return
        self._streams.append(stream)
        try:
            if await self._answered_on(stream):
                await self._carry_audio(stream)
        finally:
            await stream.close()
            self._streams.remove(stream)
            self._early_stream_settled.set()

    async def _open(self, stream: MediaStream) -> None:
        if self.faults.streaming_fails or (self.faults.early_stream_fails and not self.answered):
            raise OSError("connection_failed")
        await stream.open()

    async def _answered_on(self, stream: MediaStream) -> bool:
        """Whether the stream still exists when the call is answered."""
        limit_ms = self.faults.early_stream_closes_after_ms
        if limit_ms is None:
            self._early_stream_settled.set()
        closed = self._tasks.create_task(stream.wait_closed())
        settled = self._tasks.create_task(self._settled.wait())
        try:
            await asyncio.wait(
                {closed, settled},
                timeout=None if limit_ms is None else limit_ms / 1000,
                return_when=asyncio.FIRST_COMPLETED,
            )
            return self.state == "answered" and not closed.done()
        finally:
            closed.cancel()
            settled.cancel()

    async def _carry_audio(self, stream: MediaStream) -> None:
        await stream.start(self._leg())
        replaced, self._stream = self._stream, stream
        self._is_stream_broken = False
        if replaced and self.faults.undocumented.second_stream == "replaces":
            self._tasks.create_task(replaced.stop(self._leg()))
        known = self.faults.undocumented.has_stream_id_in_started
        stream_id = {"stream_id": stream.stream_id} if known else {}
        url = stream.settings.stream_url
        self.post(events.StreamingStartedPayload, stream_url=url, **stream_id)
        await stream.listen()
        # A stream that another socket has replaced ends without a webhook.
        if self._stream is stream:
            self._stream = None
            self._report_end(stream)

    def _report_end(self, stream: MediaStream) -> None:
        undocumented = self.faults.undocumented
        is_broken = not stream.is_closed_here
        self._is_stream_broken = is_broken and undocumented.start_after_break != "works"
        how = undocumented.after_break if is_broken else "stopped"
        match how:
            case "stopped":
                self._tasks.create_task(self.report_stopped(stream.settings.stream_url))
            case "failed":
                self.post_failed(stream)
            case "reconnects":
                self._stream_task = self._tasks.create_task(self._carry_stream(stream.settings))
            case "nothing":
                pass

    async def _stop_streams(self) -> None:
        if self._stream is None and self._stream_task is not None:
            self._stream_task.cancel()
        for stream in list(self._streams):
            await stream.stop(self._leg())

    def _part_from_partner(self) -> None:
        partner, self.partner = self.partner, None
        if partner is not None:
            partner.partner = None
            # If the target of a transfer does not answer, the first leg stays as it was.
            if self.answered:
                partner.hang_up("agent")

    def _leg(self) -> StreamLeg:
        return StreamLeg(
            user_id=USER_ID,
            call_control_id=self.call_control_id,
            call_session_id=self.plan.call_session_id,
            from_=self.from_,
            to=self.to,
            client_state=self.client_state,
        )

    def _side(self, end: End) -> Literal["caller", "callee"]:
        agent_calls = self.plan.direction == "outgoing"
        return "caller" if agent_calls == (end == "agent") else "callee"
