"""Decides when the simulated model responds: one response at a time in the conversation, and any
number out of band."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from simulators.openai.agent import Part, ResponseContext, ResponsePlanner, plan, with_commentary
from simulators.openai.conversation import Entry, ModelConversation
from simulators.openai.faults import (
    EXPIRED,
    FROZEN,
    GONE,
    INTERNAL_ERROR,
    ModelFaults,
    SessionEnding,
)
from simulators.openai.requests import Refusal, ResponseRequest, check_modalities
from simulators.openai.response import ResponseRun
from simulators.openai.settings import ActiveSettings
from simulators.openai.wire import (
    ErrorEvent,
    ErrorPayload,
    RateLimit,
    RateLimitsUpdated,
    ResponseError,
    ServerEvent,
    UndocumentedEvent,
)

TOKENS_PER_MINUTE = 15_000_000


class Responder:
    def __init__(
        self,
        conversation: ModelConversation,
        agent: ResponsePlanner,
        faults: ModelFaults,
        *,
        emit: Callable[[ServerEvent], None],
        on_done: Callable[[ResponseRun], None],
        on_breakdown: Callable[[SessionEnding | None], None],
        burst: float,
        think_s: float,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._conversation, self._agent, self._faults = conversation, agent, faults
        self._emit, self._on_done, self._on_breakdown = emit, on_done, on_breakdown
        self._burst, self._think_s = burst, think_s
        self._tasks = tasks
        self._running: dict[str, tuple[ResponseRun, asyncio.Task[None]]] = {}
        self._active: ResponseRun | None = None
        self._count = 0

    def create(self, request: ResponseRequest, settings: ActiveSettings) -> None:
        check_modalities(request.output_modalities, "response.output_modalities")
        request = self._as_understood(request)
        beside = request.conversation == "none"
        if self._active and not beside:
            message = (
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Refusal("conversation_already_has_active_response", message)
        self._count += not beside
        if self._faults.non_fatal_error:
            error = ErrorPayload("server_error", "server_error", "The server had an error.")
            self._emit(ErrorEvent(error))
        run = ResponseRun(request, settings, self._conversation, self._emit)
        turn = self._conversation.last_caller_turn if request.input is None else None
        if not beside:
            self._active = run
        run.start()
        number = 0 if beside else self._count
        work = self._perform(run, number, turn, settings)
        self._running[run.id] = run, self._tasks.create_task(work)

    def _as_understood(self, request: ResponseRequest) -> ResponseRequest:
        if self._faults.ignores_metadata:
            request = replace(request, metadata=None)
        if self._faults.ignores_out_of_band:
            request = replace(request, conversation=None)
        return request

    @property
    def active(self) -> bool:
        return self._active is not None

    def cancel(self, reason: str, response_id: str | None = None) -> None:
        run_id = response_id or (self._active.id if self._active else "")
        if run_id not in self._running:
            message = "Cancellation failed: no active response found"
            raise Refusal("response_cancel_not_active", message)
        run, task = self._running[run_id]
        task.cancel()
        run.cancel(reason)
        self._over(run)

    def stop(self) -> None:
        for _, task in self._running.values():
            task.cancel()

    async def _perform(
        self, run: ResponseRun, number: int, turn: Entry | None, settings: ActiveSettings
    ) -> None:
        await asyncio.sleep(self._think_s)
        if self._faults.unknown_events:
            self._emit(UndocumentedEvent(run.id))
        if self._faults.fail_responses:
            message = "Rate limit reached for this model."
            run.fail(ResponseError("rate_limit_error", "inference_rate_limit_exceeded", message))
        else:
            parts = await self._plan(run, turn, settings)
            await run.perform(parts, self._burst, lambda: self._half_way(run, number))
        self._over(run)

    async def _plan(
        self, run: ResponseRun, turn: Entry | None, settings: ActiveSettings
    ) -> tuple[Part, ...]:
        if self._faults.silent_responses:
            return ()
        context = ResponseContext(run.request, settings, self._conversation, turn)
        parts = await plan(self._agent, context)
        return with_commentary(parts) if self._faults.multi_item_responses else parts

    def _half_way(self, run: ResponseRun, number: int) -> None:
        if self._faults.content_filter:
            run.cut("content_filter")
        for planned, ending in (
            (self._faults.stall_in_response, None),
            (self._faults.close_abruptly_in_response, GONE),
            (self._faults.fail_internally_in_response, INTERNAL_ERROR),
            (self._faults.expire_in_response, EXPIRED),
            (self._faults.freeze_in_response, FROZEN),
            (self._faults.close_in_response, SessionEnding(self._faults.close_code)),
        ):
            if number == planned:
                self._on_breakdown(ending)

    def _over(self, run: ResponseRun) -> None:
        del self._running[run.id]
        if self._active is run:
            self._active = None
        used = run.wire.usage.total_tokens if run.wire.usage else 0
        limit = RateLimit("tokens", TOKENS_PER_MINUTE, TOKENS_PER_MINUTE - used, 0.001)
        self._emit(RateLimitsUpdated([limit]))
        self._on_done(run)
