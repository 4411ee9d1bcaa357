"""One simulated call from ringing to hangup, driven by the audio clock."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from simulators.audio.speech import Samples
from simulators.telnyx import events
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.call_streams import CallStreams
from simulators.telnyx.commands import ApiError
from simulators.telnyx.machine import Machine
from simulators.telnyx.media import MediaStream
from simulators.telnyx.person import FRAME_MS, SILENT_FRAME, FrameClock, PersonConversation
from simulators.telnyx.reports import CallEnding, CallPlan, ReportedCall, Reporter
from simulators.telnyx.sound import CallSound
from simulators.telnyx.webhooks import timestamp_now

NO_ANSWER_AFTER_MS = 500  # shorter than the real 30 s, so that a simulated no-answer is quick
CALLER_RINGS_MS = 30_000
DETECTION_TAKES_MS = 1500
SPEAKING_MS_PER_CHARACTER = 20
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
        self._tasks: asyncio.TaskGroup
        self._speaking = 0
        self._sounded_at_ms = 0
        self.streams = CallStreams(self, self._settled)
        self._luck = random.Random(1)

    @property
    def stream(self) -> MediaStream | None:
        """The stream that carries the call now."""
        return self.streams.current

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
            self.streams.early_stream_settled.set()
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
        beside = self.faults.undocumented.speak_beside_stream if self.stream else "heard"
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
        if self.stream is not None:
            await self.stream.press(digit)

    # From ringing to hangup.

    async def live(self) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            self.streams.tasks = self._tasks
            if self.plan.stream is not None:
                self.streams.start(self.plan.stream)
            await self._ring()
            if self.state == "answered":
                await self._talk()
            await self.streams.stop_all()
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
            await self.streams.early_stream_settled.wait()
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
        is_heard = self.stream is not None and self.stream.is_sounding
        return is_heard and await self.exchange.wait_for_agent()

    async def _exchange_frame(self) -> None:
        stream = self.stream
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
        self.streams.disturb()

    def _is_silent_too_long(self, now_ms: int) -> bool:
        limit_ms = self.faults.undocumented.silent_leg_ends_after_ms
        if self.stream or self._speaking:
            self._sounded_at_ms = now_ms
        return limit_ms is not None and now_ms - self._sounded_at_ms >= limit_ms

    def _is_recorded_by_machine(self) -> bool:
        return isinstance(self.conversation, Machine) and self.conversation.is_recording

    def _part_from_partner(self) -> None:
        partner, self.partner = self.partner, None
        if partner is not None:
            partner.partner = None
            # If the target of a transfer does not answer, the first leg stays as it was.
            if self.answered:
                partner.hang_up("agent")

    def _side(self, end: End) -> Literal["caller", "callee"]:
        agent_calls = self.plan.direction == "outgoing"
        return "caller" if agent_calls == (end == "agent") else "callee"
