"""Keeps the replies that are due: the requests to the model, and the remains of a lost session.

All requests to speak, and the ends of the caller's speech, are reported here. `pending_reply.py`
judges the model's responses to them.
"""

from media_bridge.commands import AddMessage, AddTimelineEntry, BridgeCommand, CreateResponse, Role
from media_bridge.conversation.active_response import ActiveResponse
from media_bridge.conversation.clip_player import (
    RETRY_FILLER_SECONDS,
    SLOW_REPLY_SECONDS,
    ClipPlayer,
)
from media_bridge.conversation.history import History, finish_sentence
from media_bridge.conversation.response_queue import ANSWER, Purpose, Request, ResponseQueue
from media_bridge.conversation.retry_budget import RetryBudget
from media_bridge.deadline import NEVER
from media_bridge.speech.agent_audio import AgentAudio

SERVER_START_TIMEOUT = 3.0
"""How long the server may take to begin the response that its own turn detection starts.

A server begins within about 0.3 s, the network included. Asking too early is safe, because the
server refuses a second response while one is active. Asking too late is silence for the caller."""
SERVER_NEXT_START_TIMEOUT = 1.0
GAP_FILLER_SECONDS = 0.7
"""A longer silence makes callers wonder whether the line is dead."""

WAITS_FOR = frozenset({Purpose.CALLER_TURN, Purpose.KEYPAD, Purpose.GREETING, Purpose.TOOL_OUTPUT})
"""The caller waits for these responses, and wonders about silence."""
_ORDERED = frozenset({Purpose.SAY, Purpose.GOODBYE, Purpose.VOICEMAIL})
"""These words were requested, so the timeline reports it if they were not spoken."""


class OwedReply:
    """The state of the pending reply: the requests that the model has to answer, through all of its
    sessions. `PendingReply` adds the judgement of responses."""

    def __init__(self, speech: AgentAudio, clips: ClipPlayer) -> None:
        self.queue = ResponseQueue()
        self._active = ActiveResponse()
        self.deadline = NEVER
        """Call `due` at that time. A sign of life does not move the deadline; `due` computes the
        next one."""
        self.nobody_listens = False
        """True if no one listens, so that only requested words are worth another attempt."""
        self._speech = speech
        self._clips = clips
        self._known: set[str] = set()
        self._silent_response: str | None = None
        self._retrying: Request | None = None
        self._budget = RetryBudget()
        self._ask_at = NEVER
        self._broken: Request | None = None
        """The reply whose first part is still playing, although its session was lost."""
        self._has_given_up = False
        self.cut_off_words = ""
        """The played words of a reply that was cut off. The next session has to finish it."""

    @property
    def last_sign_at(self) -> float:
        """When the last event of a response came."""
        return self._active.last_sign_at

    @property
    def is_over(self) -> bool:
        """Whether the model was given up. The call ends when the apology has been played."""
        return self._has_given_up or self._clips.end is not None

    @property
    def is_owed(self) -> bool:
        """Whether the caller waits for the agent to say something."""
        has_begun = self.queue.active is not None and self._active.has_spoken
        return not (self.queue.is_idle or self.nobody_listens or has_begun)

    @property
    def _is_cancelled(self) -> bool:
        """Whether the active response was cancelled by us or by the caller."""
        active = self.queue.active
        return active is not None and active in self._speech.cancelled

    def _set_deadline(self) -> None:
        clips = self._clips
        self.deadline = min(self._stalled_at, self._ask_at, clips.filler_at, clips.end_at)

    def begin(self, now: float) -> None:
        """Begin, because the media stream started. No one listened before."""
        self._clips.begin()
        self._active.last_sign_at = now
        if self.queue.current:
            self._expect(self.queue.current.purpose, now)
        self._set_deadline()

    def request(self, request: Request, now: float) -> list[BridgeCommand]:
        if self.is_over:
            return []
        self._expect(request.purpose, now)
        return self._record_sent(self.queue.request(request), now)

    def request_next(self, request: Request, now: float) -> list[BridgeCommand]:
        if self.is_over:
            return []
        self._expect(request.purpose, now)
        return self._record_sent(self.queue.request_next(request), now)

    def on_caller_speech(self) -> None:
        """Let the caller speak. The server will answer them first."""
        self.queue.hold()
        self._ask_at = self._clips.filler_at = NEVER
        self._retrying = None
        self._budget.start_window()

    def on_caller_stopped(self, now: float, server_answers: bool) -> list[BridgeCommand]:
        if self.queue.muted:
            return []
        self._expect(Purpose.CALLER_TURN, now)
        if not server_answers:
            self.queue.expect_answer()
            return self._record_sent(self.queue.release(), now)
        self.queue.expect_answer()
        self._ask_at = NEVER if self.queue.is_generating else now + SERVER_START_TIMEOUT
        self._set_deadline()
        return []

    def on_caller_silence(self, now: float) -> list[BridgeCommand]:
        """Continue what waits for the end of the caller's speech, which the server did not
        report."""
        return self._record_sent(self.queue.release(), now)

    def unmute(self, now: float) -> list[BridgeCommand]:
        return [] if self.is_over else self._record_sent(self.queue.unmute(), now)

    def drop_requests(self, why: str) -> list[BridgeCommand]:
        """Forget everything that waits."""
        self._ask_at = self._clips.filler_at = NEVER
        dropped = self.queue.clear()
        return [note for request in dropped for note in not_spoken(request, why)]

    def close(self) -> list[BridgeCommand]:
        """Drop everything that waits, because the call is over."""
        current = None if self._active.has_spoken else self.queue.current
        return [
            *not_spoken(current, "the call ended first"),
            *self.drop_requests("the call ended first"),
        ]

    def lose_session(self, is_broken: bool, caller_is_speaking: bool, now: float) -> None:
        """Keep the request whose response has brought the caller nothing, to ask for it again. The
        reply is broken if the caller is hearing it and some of its sound is missing."""
        active, request = self.queue.active, self.queue.current or ANSWER
        is_owed = self.queue.is_generating and not self._is_cancelled
        is_owed &= request.purpose is not Purpose.FILLER
        is_owed &= not self.nobody_listens or request.command.has_words
        has_spoken = active is not None and self._active.has_spoken
        self.queue.close_session()
        self._ask_at, self._retrying = NEVER, None
        if is_owed and is_broken:
            self._broken = request
        elif is_owed and not has_spoken:
            self.queue.put_first(request)
        if not caller_is_speaking:
            self._clips.expect_filler(now + GAP_FILLER_SECONDS)
        self._set_deadline()

    def take_over(self, history: History) -> None:
        """Continue for another stream. Its caller may still wait for a reply."""
        self.queue.close_session()
        self.cut_off_words = history.cut_off_words
        if history.is_reply_owed or history.cut_off_words:
            self.queue.put_first(ANSWER)

    def open_session(self, caller_was_speaking: bool, now: float) -> list[BridgeCommand]:
        """Continue with the next session, which first answers a caller who was speaking."""
        self._clips.filler_at = NEVER
        if caller_was_speaking:
            self.queue.put_first(ANSWER)
            self._ask_at = now + SERVER_START_TIMEOUT
        commands = self.queue.open_session(holds=caller_was_speaking)
        if not self.queue.is_idle:
            self._clips.expect_filler(now + RETRY_FILLER_SECONDS)
        return self._record_sent(commands, now)

    def on_broken_end(self, spoken_words: str, now: float) -> list[BridgeCommand]:
        """Request the rest of a broken reply, because everything that was received of it has been
        played."""
        request, self._broken = self._broken, None
        if request is None:
            return []
        if not spoken_words:
            return self.request_next(request, now)
        may_call = request.command.allow_tools and not request.command.exact_text
        rest = Request(CreateResponse(allow_tools=may_call), request.purpose)
        if self.queue.has_session:
            where = AddMessage(Role.SYSTEM, finish_sentence(spoken_words))
            return [where, *self.request_next(rest, now)]
        self.cut_off_words = spoken_words
        return self.request_next(rest, now)

    def drop_broken(self) -> None:
        """Forget the broken reply, because the caller or the API interrupted the agent."""
        self._broken, self.cut_off_words = None, ""

    @property
    def _stalled_at(self) -> float:
        return self._active.stalls_at if self.queue.is_generating else NEVER

    def _expect(self, purpose: Purpose, now: float) -> None:
        if purpose in WAITS_FOR:
            self._clips.expect_filler(now + SLOW_REPLY_SECONDS)

    def _record_sent(self, commands: list[CreateResponse], now: float) -> list[BridgeCommand]:
        if commands:
            self._active.begin(now)
        self._set_deadline()
        return [*commands]


def not_spoken(request: Request | None, why: str) -> list[BridgeCommand]:
    if request is None or request.purpose not in _ORDERED:
        return []
    return [AddTimelineEntry("not spoken", f"{request.purpose}: {why}")]
