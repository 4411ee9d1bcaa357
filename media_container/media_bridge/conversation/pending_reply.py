"""Judges the model's responses, and decides what follows if the caller gets no reply.

A reply is due after every request to speak, and whenever the caller stops speaking. A reply is what
the caller gets: sound, or a tool call that is carried out. The status of a response does not count:
one that is `completed` without a sound is as silent as one that `failed`.

    the caller waits because ...          until ...                     and then
    ----------------------------          ---------                     --------
    the server is to begin a response     3 s after the last word, or   we ask for it
                                          1 s after another response
    a response was requested, or runs     15 s without any event of it  the attempt failed, and the
      the same, with an MCP call          45 s without any event of it  session is replaced
      the same, but it was cancelled      5 s after the cancellation    it is given up
    the last attempt failed               0.5 s, 1 s, 2 s, or as long   we ask again
                                          as the server wants
    nothing sounded for 6 s, for 2.5 s    -                             the filler clip is played
    after a failed attempt, or for 0.7 s
    after the loss of the session
    the session was lost                  the next one is ready         we ask again, or have a
                                                                        reply finished that was cut
    four attempts failed, or two          -                             the apology clip is played,
    stalled, or a delay is too long,                                    and the call fails with the
    or the account has no quota                                         cause of the last failure

An attempt fails when its response ends without a reply, is refused, never starts or stalls. Every
failure is an entry in the timeline. `retry_budget.py` counts the failures.

Some silence is intended, and causes no other attempt: the response was cancelled by us or by the
caller, the agent is muted, no one listens, or the model only pressed keys. A failed filler is not
repeated either. If the last words fail, the call ends as planned, and the timeline has an entry
about the unspoken words.

Times are seconds of the bridge's clock.
"""

from media_bridge import events, tool_events
from media_bridge.commands import AddTimelineEntry, BridgeCommand, CancelResponse, FailCall, Log
from media_bridge.conversation.clip_player import RETRY_FILLER_SECONDS
from media_bridge.conversation.owed_reply import (
    SERVER_NEXT_START_TIMEOUT,
    WAITS_FOR,
    OwedReply,
    not_spoken,
)
from media_bridge.conversation.response_queue import ANSWER, Purpose, Request
from media_bridge.conversation.retry_budget import (
    FATAL_CODES,
    Failure,
    FaultReason,
    cut_short,
    failure_of,
)
from media_bridge.deadline import NEVER
from phonebridge.call.usage import Usage

ALREADY_RESPONDING = "conversation_already_has_active_response"
RATE_LIMITED = ("rate_limit_exceeded", "inference_rate_limit_exceeded")


class PendingReply(OwedReply):
    """`FailCall` is always the last command of an answer."""

    # The session.

    def count_stall(self, now: float) -> list[BridgeCommand]:
        """Note that the model has stalled, if another session may help."""
        active = self.queue.active
        is_whole = self._active.has_spoken and not self._speech.is_within_item(active or "")
        if now < self._stalled_at or self._is_cancelled or is_whole:
            return []
        seconds = round(self._active.stall_timeout)
        why = f"stalled: no event for {seconds} s" if active else _not_begun(seconds)
        failure = Failure(FaultReason.STALLED, why)
        if self._budget.is_last(failure, now):
            return []
        self._budget.delay_after(failure, now)
        noted = f"{(self.queue.current or ANSWER).purpose}: {why}"
        return [
            Log("warning", "model gave no reply", noted),
            AddTimelineEntry("no reply", f"{noted}; asked again in a new session"),
        ]

    # What the model does.

    def is_new(self, response_id: str) -> bool:
        """Return whether the response started without being announced. Some servers omit
        `response.created`."""
        return response_id not in self._known and self.queue.active is None

    def on_response_started(self, response_id: str, now: float) -> None:
        self._known.add(response_id)
        self.queue.on_started(response_id)
        self._active.begin(now)
        self._ask_at = NEVER
        self._set_deadline()

    def on_cancelled(self, now: float) -> None:
        """Give the cancelled response little time to end."""
        self._active.on_cancelled(now)
        self._set_deadline()

    def on_progress(self, response_id: str | None, now: float) -> bool:
        """Count any event of the active response as a sign of life. Return whether it was one."""
        active = self.queue.active
        if active is None or (response_id is not None and response_id != active):
            return False
        if active not in self._speech.cancelled:
            self._active.last_sign_at = now
        return True

    def on_more_audio(self, now: float) -> None:
        """Note that the active response goes on speaking."""
        self._active.last_sign_at = now

    def on_speech(self, response_id: str) -> None:
        if response_id == self.queue.active:
            self._active.has_spoken = True
            self._clips.filler_at = NEVER
            self.cut_off_words = ""

    def on_tool_call(self, call: tool_events.ToolCall, now: float) -> list[BridgeCommand]:
        if call.response_id == self.queue.active:
            self._active.has_called = True
            if isinstance(call, tool_events.McpCalled):
                self._active.on_mcp_called(call.item_id)
                self._set_deadline()
        elif call.response_id == self._silent_response and self._retrying:
            # The call was reported after the end of its response, which therefore was no failure.
            self.queue.drop(self._retrying)
            self._succeed()
            return self._record_sent(self.queue.release(), now)
        return []

    def on_mcp_returned(self, item_id: str, now: float) -> None:
        self._active.on_mcp_returned(item_id)
        self._set_deadline()
        self.on_progress(None, now)

    def on_response_ended(
        self, event: events.ResponseEnded, is_wanted: bool, is_broken_off: bool, now: float
    ) -> list[BridgeCommand]:
        """Judge the active response by what the caller got. It is not wanted if it was cancelled
        by us or by the caller; it is broken off if it stalled within a sentence."""
        if event.response_id != self.queue.active:
            return []
        request = self.queue.finish()
        has_called = self._active.has_called or bool(event.calls)
        runs_calls = has_called and event.status == "completed"
        if not is_wanted:
            got_nothing = not (self._active.has_spoken or runs_calls)
            notes = not_spoken(request, "it was interrupted") if got_nothing else []
            return [*notes, *self._go_on(now)]
        if runs_calls or (self._active.has_spoken and not has_called and not is_broken_off):
            self._succeed()
            return [*cut_short(event), *self._go_on(now)]
        self._silent_response = event.response_id
        if has_called:
            request = Request(ANSWER.command, Purpose.TOOL_OUTPUT)
        return self._fail(failure_of(event), request, now)

    def on_error(self, error: events.ModelErrorReceived, now: float) -> list[BridgeCommand]:
        """Find the request of an error. An error about something else changes nothing. Without an
        id, only some codes identify a request."""
        failure = Failure(
            FaultReason.FAILED, f"refused: {error.code}: {error.message}", error.retry_after
        )
        if error.code in FATAL_CODES:
            return self._give_up(failure, self.queue.finish() or ANSWER, now)
        return self._on_refusal(error, failure, now)

    def _on_refusal(
        self, error: events.ModelErrorReceived, failure: Failure, now: float
    ) -> list[BridgeCommand]:
        is_anonymous = error.event_id is None
        is_limit = is_anonymous and error.code in RATE_LIMITED
        is_ours = self.queue.names_request(error.event_id) or (
            is_anonymous and error.code == ALREADY_RESPONDING
        )
        if self.queue.active:
            if is_ours:
                self.queue.request_was_refused()
        elif self.queue.is_requested:
            if is_ours or is_limit:
                return self._fail(failure, self.queue.finish(), now)
        elif is_limit and self._ask_at < NEVER:
            # The server wanted to answer the caller by itself.
            self.queue.drop(ANSWER)
            return self._fail(failure, ANSWER, now)
        return []

    def stalled_response(self, now: float) -> events.ResponseEnded | None:
        """Make up the end of a response that shows no sign of life."""
        active, stalled_at = self.queue.active, self._stalled_at
        if active is None or now < stalled_at:
            return None
        seconds = round(self._active.stall_timeout)
        return events.ResponseEnded(active, "stalled", f"no event for {seconds} s", Usage())

    def replaced_by(self, event: events.ResponseStarted) -> events.ResponseEnded | None:
        """Make up the end of a response that the server did not end before it started another."""
        active = self.queue.active
        if active is None or active == event.response_id:
            return None
        return events.ResponseEnded(active, "abandoned", "another response started", Usage())

    # What time brings.

    def due(self, now: float, caller_is_speaking: bool = False) -> list[BridgeCommand]:
        """Do what is due. Call it when `deadline` has come, even if nothing turns out to be due."""
        if self._clips.end:
            commands = self._clips.due_end(self._clips.end, now)
        else:
            commands = self._due(now, caller_is_speaking)
        self._set_deadline()
        return commands

    def _due(self, now: float, caller_is_speaking: bool) -> list[BridgeCommand]:
        commands: list[BridgeCommand] = []
        if self.queue.is_requested and self._stalled_at <= now:
            failure = Failure(FaultReason.STALLED, _not_begun(round(self._active.stall_timeout)))
            commands += self._fail(failure, self.queue.finish(), now)
        if self._ask_at <= now:
            self._ask_at, self._retrying = NEVER, None
            if not caller_is_speaking:
                commands += self._record_sent(self.queue.release(), now)
        if self._clips.filler_at <= now:
            self._clips.filler_at = NEVER
            is_awaited = not (self.queue.is_idle and self.queue.has_session)
            if is_awaited and not (self.queue.muted or self.nobody_listens):
                self._clips.play_filler(now, caller_is_speaking)
        return commands

    # What follows.

    def _go_on(self, now: float) -> list[BridgeCommand]:
        """Send the next request, because the slot is free. If another response is to come first,
        wait a moment for it."""
        commands = self._record_sent(self.queue.proceed(), now)
        if not commands and self._ask_at == NEVER and not self.queue.is_idle:
            self._ask_at = now + SERVER_NEXT_START_TIMEOUT
        self._set_deadline()
        return commands

    def _succeed(self) -> None:
        self._budget.reset()
        self._ask_at = self._clips.filler_at = NEVER
        self._retrying = None

    def _fail(self, failure: Failure, request: Request | None, now: float) -> list[BridgeCommand]:
        request = request or ANSWER
        why = f"{request.purpose}: {failure.why}"
        log = Log("warning", "model gave no reply", why)
        is_for_nobody = self.nobody_listens and not request.command.has_words
        if request.purpose is Purpose.FILLER or is_for_nobody:
            return [log, *self._go_on(now)]
        delay = self._budget.delay_after(failure, now)
        if delay is None:
            return [log, *self._give_up(failure, request, now)]
        self.queue.retry(request)
        self._retrying, self._ask_at = request, now + delay
        if request.purpose in WAITS_FOR:
            self._clips.expect_filler(now + RETRY_FILLER_SECONDS)
        self._set_deadline()
        return [log, AddTimelineEntry("no reply", f"{why}; asked again")]

    def _give_up(self, failure: Failure, request: Request, now: float) -> list[BridgeCommand]:
        why = f"{request.purpose}: {failure.why}"
        if request.purpose is Purpose.GOODBYE:
            return [*not_spoken(request, failure.why), *self._go_on(now)]
        notes = [
            AddTimelineEntry("no reply", f"{why}; given up"),
            *not_spoken(request, failure.why),
        ]
        end = FailCall(failure.reason.value, why)
        if request.purpose is Purpose.VOICEMAIL:
            return [*notes, end]
        return [*notes, *self.apologize(end, now)]

    def give_up_model(self) -> None:
        """Let the model say nothing more in this call. An apology, if there was one, is over."""
        self._has_given_up = self.queue.muted = True
        self.drop_requests("no model could carry the call on")
        self._clips.forget_end()
        self._set_deadline()

    def end_without_caller(self, now: float) -> FailCall | None:
        """Return how the call ends if the caller leaves during the apology."""
        return self._clips.end_now(self._clips.end, now) if self._clips.end else None

    def apologize(self, end: FailCall, now: float) -> list[BridgeCommand]:
        """Let nothing more be said but the apology, and then end the call."""
        if self.is_over:
            return []
        commands = self.drop_requests(end.detail)
        if (active := self.queue.active) and active not in self._speech.cancelled:
            self._speech.stop_response(active)
            commands.append(CancelResponse(active))
        current = self.queue.finish()
        if not self._active.has_spoken:
            commands += not_spoken(current, end.detail)
        self.queue.muted = True
        commands += self._clips.apologize(end, now)
        self._set_deadline()
        return commands


def _not_begun(seconds: int) -> str:
    return f"no response began within {seconds} s"
