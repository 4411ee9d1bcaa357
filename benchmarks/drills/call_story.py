"""The calls that a drill places, what people do on them, and what their records must say.

A story knows the truth, because the carrier of the drill keeps it. So each of them can tell at any
moment whether the record is right, and whether a command was lost.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.drills.store_fault import Outage
from benchmarks.drills.system import Leg, LegState, System
from phonebridge.call.call import Call, CallStatus, Outcome

RETRY_SECONDS = 5.0
"""A client that got no answer, or a 5xx, asks again."""
REQUESTS_END_SECONDS = 60.0
"""After the return of the table no client asks any more."""
DURATION_TOLERANCE_SECONDS = 2.0
PATIENCE_SECONDS = 20.0
STARTED = "streaming_start"
NUMBERED = (STARTED, "streaming_stop", "speak")
"""Each stream of a call may be opened and closed once, and announced to the caller who waits."""
TARGET = "+15550190"

End = tuple[Outcome, str]

HUNG_UP: End = Outcome.COMPLETED, "callee_hung_up"
UNKNOWN: End = Outcome.COMPLETED, "unknown"
"""The end that only the carrier knew, because no webhook reported it."""


@dataclass(frozen=True, slots=True)
class Stage:
    system: System
    outage: Outage
    closes: float
    """When everybody who still talks hangs up."""
    over: float
    """When the drill is judged."""
    agent_seconds: float = 0.0
    """How long it takes until the agent does what a story wants of it."""
    keeps_streams: bool = False
    """Whether no container and no socket is lost, so that each call needs one stream only."""

    def within(self, share: float) -> float:
        """A moment in the outage."""
        return self.outage.begins + share * (self.outage.ends - self.outage.begins)

    async def until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self.system.time()))


def number_of(story: int) -> str:
    return f"+15550{140 + story}"


class CallStory(ABC):
    kind: str
    needs_table = True
    """Whether our side can end the call only once the table is back."""
    created_before_seconds = 30.0
    """Before the outage."""

    def __init__(self, stage: Stage, number: int, share: float) -> None:
        """`share`: when in the outage it happens."""
        self.stage = stage
        self.system = stage.system
        self.share = share
        self.to = number_of(number)
        self.call_id: str | None = None
        self.asked_at: float | None = None
        """When the request of this story was made."""
        self.system.expect(self.to, answers_after_seconds=1.0)

    @property
    def _legs(self) -> Sequence[Leg]:
        return self.system.legs_to(self.to)

    @property
    def leg(self) -> Leg | None:
        return self._legs[0] if self._legs else None

    @abstractmethod
    async def play(self) -> None: ...

    @abstractmethod
    def ends(self) -> set[End]:
        """What the record may say in the end."""

    @property
    def wants_end(self) -> bool:
        """Whether our side was asked to end it."""
        return False

    def wanted_commands(self) -> Iterable[str]:
        yield "dial"
        if self.leg and self.leg.answered_at is not None:
            yield STARTED

    async def create(self, at: float) -> None:
        await self.stage.until(at)
        body = {
            "to": self.to,
            "instructions": self.to,
            "greeting": "Good morning.",
            "tools": [
                {"type": "end_call"},
                {
                    "type": "transfer_call",
                    "destinations": [{"name": "reception", "to": TARGET}],
                },
            ],
        }
        answer = await self._ask_until_done("/api/ai-calls/create", body)
        self.call_id = answer.get("call_id")

    async def ask_hangup(self) -> None:
        await self._ask_until_done(f"/api/ai-calls/{self.call_id}/hangup", None)

    async def _ask_until_done(self, path: str, body: object) -> dict[str, str]:
        while self.system.time() < self.stage.outage.ends + REQUESTS_END_SECONDS:
            status, answer = await self.system.ask("POST", path, body, idempotency_key=self.to)
            if status < 429:
                return answer
            await asyncio.sleep(RETRY_SECONDS)
        return {}

    async def hang_up_at_the_end(self) -> None:
        await self.stage.until(self.stage.closes + self.share)
        if self.leg:
            self.system.hang_up(self.leg)

    # Judgement.

    def record(self) -> Call | None:
        return self.system.record(self.call_id) if self.call_id else None

    def is_right(self) -> bool:
        """Whether the record says what is true now."""
        leg, call = self.leg, self.record()
        if leg is None:
            return call is None
        if call is None:
            return False
        if leg.state is not LegState.ENDED:
            return not self.wants_end and self.is_right_while_up(leg, call)
        return self.is_right_after_end(leg, call)

    def is_right_while_up(self, leg: Leg, call: Call) -> bool:
        if leg.state is LegState.RINGING:
            return call.status is CallStatus.DIALING
        return call.status is CallStatus.STREAMING and leg.has_stream

    def is_right_after_end(self, leg: Leg, call: Call) -> bool:
        if call.status is not CallStatus.ENDED or call.outcome is None or call.talk_ms is None:
            return False
        if leg.answered_at is None or leg.ended_at is None:
            return (call.outcome, call.reason or "") in self.ends()
        shortest = longest = leg.ended_at - leg.answered_at
        if "call.answered" in leg.lost_webhooks:
            # The carrier's `GET` tells since when the leg is up, not when it was answered.
            longest = leg.ended_at - leg.began_at
        least, most = shortest - DURATION_TOLERANCE_SECONDS, longest + DURATION_TOLERANCE_SECONDS
        is_possible = least <= call.talk_ms / 1000 <= most
        return is_possible and (call.outcome, call.reason or "") in self.ends()

    def is_lost(self) -> bool:
        """Whether our side ended a call that should have gone on, or never carried it."""
        leg = self.leg
        if leg is None or self.wants_end:
            return False
        return leg.ended_by_us

    def is_left(self) -> bool:
        """Whether the call is up now, but not as it should be: without its media, for example."""
        leg = self.leg
        return leg is not None and leg.state is LegState.ANSWERED and not self.is_right()

    def is_moved(self) -> bool:
        """Whether the call got another media stream without a reason."""
        started = [each for leg in self._legs for each in leg.executed if each.name == STARTED]
        return self.stage.keeps_streams and len(started) > 1

    def commands_lost(self) -> list[str]:
        done = {each.name for each in self.leg.executed} if self.leg else set()
        return [f"{name} of {self.kind}" for name in self.wanted_commands() if name not in done]

    def commands_repeated(self) -> list[str]:
        """Commands that had an effect twice. A stream has a number in its command's id."""
        names = Counter(
            each.command_id if each.name in NUMBERED else each.name
            for leg in self._legs
            for each in leg.executed
        )
        return [f"{name} of {self.kind}" for name, times in names.items() if times > 1]

    def silence(self) -> float:
        """Return the longest silence for the caller since the beginning of the fault."""
        if self.leg is None:
            return 0.0
        return self.leg.longest_silence(self.stage.outage.begins, self._speech_ends())

    def _speech_ends(self) -> float:
        """Return the time until which the agent should be audible."""
        return self.stage.closes

    def _hung_up_ends(self) -> set[End]:
        """Return the possible ends. The carrier's `GET` does not say who hung up."""
        was_lost = self.leg is not None and "call.hangup" in self.leg.lost_webhooks
        return {HUNG_UP, UNKNOWN} if was_lost else {HUNG_UP}
