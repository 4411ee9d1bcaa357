"""What the callers of a drill do while the table is away."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from benchmarks.drills.call_story import PATIENCE_SECONDS, TARGET, CallStory, End, Stage
from benchmarks.drills.system import Leg, LegState
from media_bridge.runtime.server import CLAIM_SECONDS
from phonebridge.call.call import Call, CallStatus, EndedBy, Outcome

RING_SECONDS = 2.0
COMMAND_AFTER_SECONDS = 0.0075
"""In virtual time, the handler has saved the answer by then, and reads what the command needs."""
CLAIM_AFTER_SECONDS = 0.067
"""In virtual time, a container is claiming the call then."""
MAX_RING_SECONDS = 27.0
"""A phone rings for 30 s by default (Telnyx, "Dial")."""


class Talking(CallStory):
    """A conversation that goes on through the fault, and long after."""

    kind = "talking"

    async def play(self) -> None:
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.hang_up_at_the_end()

    def ends(self) -> set[End]:
        return self._hung_up_ends()


class EndedByAgent(CallStory):
    """The model hangs up."""

    kind = "ended by the agent"
    needs_table = False

    async def play(self) -> None:
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.stage.until(self.stage.within(self.share))
        self.asked_at = self.system.time()
        self.system.let_agent(self.to, "end_call", {})

    @property
    def wants_end(self) -> bool:
        return self.asked_at is not None

    def wanted_commands(self) -> Iterable[str]:
        yield from super().wanted_commands()
        yield "hangup"

    def ends(self) -> set[End]:
        return {(Outcome.COMPLETED, EndedBy.AGENT)}

    def _speech_ends(self) -> float:
        return self.stage.within(self.share)


class EndedByCaller(CallStory):
    kind = "ended by the caller"

    async def play(self) -> None:
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.stage.until(self.stage.within(self.share))
        if self.leg:
            self.system.hang_up(self.leg)

    def ends(self) -> set[End]:
        return self._hung_up_ends()


class EndedByApi(EndedByAgent):
    """A client asks for the end, and asks again after an error."""

    kind = "ended by the API"
    needs_table = True

    async def play(self) -> None:
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.stage.until(self.stage.within(self.share))
        self.asked_at = self.system.time()
        await self.ask_hangup()

    def ends(self) -> set[End]:
        return {(Outcome.COMPLETED, EndedBy.API)}


class Answered(CallStory):
    """It rings before the fault. The callee picks up in it, and waits."""

    kind = "answered"
    created_before_seconds = RING_SECONDS

    async def play(self) -> None:
        self.system.expect(self.to, answers_after_seconds=None)
        created = self.stage.outage.begins - self.created_before_seconds
        await self.create(created)
        await self.stage.until(min(self.stage.within(self.share), created + MAX_RING_SECONDS))
        if self.leg:
            self.system.pick_up(self.leg)
        await self.hang_up_at_the_end()

    def ends(self) -> set[End]:
        return self._hung_up_ends()


class AnsweredAtOnset(Answered):
    """The callee picks up just before the fault, which begins while the call is being connected."""

    kind = "answered at the onset"

    def __init__(self, stage: Stage, number: int, before_seconds: float) -> None:
        super().__init__(stage, number, share=0.0)
        self._before_seconds = before_seconds

    async def play(self) -> None:
        self.system.expect(self.to, answers_after_seconds=None)
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.stage.until(self.stage.outage.begins - self._before_seconds)
        if self.leg:
            self.system.pick_up(self.leg)
        await self.hang_up_at_the_end()

    def is_moved(self) -> bool:
        """After a longer fault, the call needs another stream."""
        return self.stage.outage.lasts < CLAIM_SECONDS and super().is_moved()


class AnsweredInVain(Answered):
    """The same, but the callee hangs up after a while of silence."""

    kind = "answered, then given up"

    async def hang_up_at_the_end(self) -> None:
        await asyncio.sleep(PATIENCE_SECONDS)
        if self.leg and not self.leg.has_heard:
            self.system.hang_up(self.leg)
        await super().hang_up_at_the_end()

    def wanted_commands(self) -> Iterable[str]:
        yield "dial"

    def ends(self) -> set[End]:
        """Return the possible ends. If no webhook reported the answer, the record cannot show
        one."""
        was_lost = self.leg is not None and "call.answered" in self.leg.lost_webhooks
        unheard: set[End] = {(Outcome.FAILED, "unknown")} if was_lost else set()
        return self._hung_up_ends() | unheard

    def is_right_after_end(self, leg: Leg, call: Call) -> bool:
        if (call.outcome, call.reason) == (Outcome.FAILED, "unknown"):
            return (Outcome.FAILED, "unknown") in self.ends()
        return super().is_right_after_end(leg, call)

    def silence(self) -> float:
        return 0.0


class Created(CallStory):
    """A client places a call in the fault, and repeats the request after an error."""

    kind = "created"

    async def play(self) -> None:
        await self.create(self.stage.within(self.share))
        await self.hang_up_at_the_end()

    def ends(self) -> set[End]:
        return self._hung_up_ends()


class Transferred(CallStory):
    """The model hands the caller over to a colleague, who answers after two seconds."""

    kind = "transferred"

    async def play(self) -> None:
        self.expect_target()
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.stage.until(self.stage.within(self.share))
        self.system.let_agent(self.to, "transfer_call", {"destination": "reception"})
        self.asked_at = self.system.time()
        await self.hang_up_at_the_end()

    def expect_target(self) -> None:
        self.system.expect(TARGET, RING_SECONDS)

    def was_refused(self) -> bool:
        """Whether the model received an error, so that it could inform the caller."""
        return self.system.model_was_told(self.to, "could not be transferred")

    def wanted_commands(self) -> Iterable[str]:
        yield from super().wanted_commands()
        if not self.was_refused():
            yield "transfer"

    def is_right_while_up(self, leg: Leg, call: Call) -> bool:
        if leg.partner and leg.partner.state is LegState.ANSWERED:
            return call.status is CallStatus.TRANSFERRED
        return super().is_right_while_up(leg, call)

    def ends(self) -> set[End]:
        if self.leg and self.leg.partner and self.leg.partner.answered_at is not None:
            return {(Outcome.COMPLETED, "transferred")}
        return self._hung_up_ends()

    def _speech_ends(self) -> float:
        partner = self.leg.partner if self.leg else None
        answered_at = partner.answered_at if partner else None
        return self.stage.closes if answered_at is None else answered_at


STORIES: tuple[Callable[[Stage, int], CallStory], ...] = (
    *(partial(Talking, share=share) for share in (0.0, 0.3, 0.6, 0.9)),
    *(partial(EndedByAgent, share=share) for share in (0.1, 0.5, 0.9)),
    *(partial(EndedByCaller, share=share) for share in (0.1, 0.5, 0.9)),
    *(partial(EndedByApi, share=share) for share in (0.2, 0.7)),
    *(partial(Answered, share=share) for share in (0.1, 0.5, 0.9)),
    partial(AnsweredAtOnset, before_seconds=COMMAND_AFTER_SECONDS),
    partial(AnsweredAtOnset, before_seconds=CLAIM_AFTER_SECONDS),
    partial(AnsweredInVain, share=0.2),
    *(partial(Created, share=share) for share in (0.1, 0.6)),
    *(partial(Transferred, share=share) for share in (0.2, 0.7)),
)
"""The 22 calls of one run."""
