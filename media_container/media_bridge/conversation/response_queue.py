"""The queue of all requests to the model to speak. At most one response is active at a time.

The model refuses a second response while one is active (OpenAI, "Realtime client events",
`response.create`), and its turn detection starts responses by itself. So every request to speak is
queued here, and the queue sends one when its slot is free.

    slot          event                                     slot afterwards
    ----          -----                                     ---------------
    FREE          a request waits, the gates are open       REQUESTED, and it is sent
    FREE          the server starts a response              RUNNING (the server's own)
    REQUESTED     a response starts                         RUNNING (ours)
    REQUESTED     an error refuses the request              FREE
    RUNNING       the response ends                         FREE
    RUNNING       another response starts                   RUNNING (the server's own)
    RUNNING       our request turns out to be refused       RUNNING (the server's own), and the
                                                            request waits again if it still has to

Three gates keep requests from being sent. The *mute* gate is closed while the agent has to be
silent. The *session* gate is closed while there is no session to send them to. The *hold* is set
while another response has to come first. This is the case while the caller speaks, until the server
has had time to answer by itself, and between two attempts. A response of the server's own releases
the hold. If none comes, `release` does so.

A response of the server's own answers everything that the caller has said so far, so waiting
requests for an answer are dropped. Two kinds of requests go on waiting. One has words of its own.
The other is about tool outputs that the server had not added to the conversation yet. A response
that we requested without words of its own answers the caller as well.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum

from media_bridge.commands import CreateResponse


class Purpose(StrEnum):
    """The purpose of a response, as the timeline names it."""

    CALLER_TURN = "answer to the caller"
    KEYPAD = "answer to keys"
    GREETING = "greeting"
    TOOL_OUTPUT = "answer after a tool"
    FILLER = "filler during a tool"
    SAY = "say"
    NOTICE = "notice"
    GOODBYE = "last words"
    VOICEMAIL = "voicemail message"


@dataclass(frozen=True, slots=True)
class Request:
    command: CreateResponse
    purpose: Purpose


ANSWER = Request(CreateResponse(), Purpose.CALLER_TURN)
"""Lets the model answer what the caller has said."""


@dataclass(frozen=True, slots=True)
class _Requested:
    request: Request
    event_id: str
    outputs: frozenset[str]
    """Tool outputs that were sent before the response, which therefore knows them."""


@dataclass(frozen=True, slots=True)
class _Running:
    response_id: str
    ours: _Requested | None
    """The request that the response serves, or None if the server started it by itself."""
    lacks_outputs: bool
    """True if it started before the server had added all tool outputs."""


@dataclass(slots=True)
class ResponseQueue:
    pending_tool_outputs: set[str] = field(default_factory=set)
    """Outputs that were sent, but that the server has not added to the conversation yet."""
    muted: bool = False
    has_session: bool = True
    active: str | None = None
    """The response that runs."""
    _slot: _Requested | _Running | None = None
    _waiting: deque[Request] = field(default_factory=deque)
    _is_held: bool = False
    _number: int = 0

    @property
    def is_generating(self) -> bool:
        """Whether a response is running or was requested."""
        return self._slot is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being generated, and nothing is waiting."""
        return self._slot is None and not self._waiting

    @property
    def current(self) -> Request | None:
        """The request of ours that the slot serves."""
        match self._slot:
            case _Requested(request) | _Running(ours=_Requested(request)):
                return request
            case _:
                return None

    @property
    def is_requested(self) -> bool:
        return isinstance(self._slot, _Requested)

    def request(self, request: Request) -> list[CreateResponse]:
        """Return what to send now. The request waits if its turn has not come."""
        if request.command.has_words or request not in self._waiting:
            self._waiting.append(request)
        return self.proceed()

    def request_next(self, request: Request) -> list[CreateResponse]:
        """Queue the request before everything that waits."""
        self._waiting.appendleft(request)
        return self.proceed()

    def expect_answer(self) -> None:
        """Expect the server to answer the caller by itself. If it does not, we ask for it."""
        if ANSWER not in self._waiting:
            self._waiting.appendleft(ANSWER)
        self._is_held = True

    def retry(self, request: Request) -> None:
        """Ask once more, before everything else, when the hold is released."""
        self._waiting.appendleft(request)
        self._is_held = True

    def put_first(self, request: Request) -> None:
        """Queue the request before everything else."""
        if request not in self._waiting:
            self._waiting.appendleft(request)

    def hold(self) -> None:
        self._is_held = True

    def release(self) -> list[CreateResponse]:
        self._is_held = False
        return self.proceed()

    def unmute(self) -> list[CreateResponse]:
        self.muted = False
        return self.proceed()

    def close_session(self) -> None:
        """Close the gate. The session is lost, together with whatever it was generating."""
        self.finish()
        self.pending_tool_outputs.clear()
        self.has_session = self._is_held = False

    def open_session(self, holds: bool) -> list[CreateResponse]:
        """Open the gate. The next session is ready, and knows all outputs of tools."""
        self.pending_tool_outputs.clear()
        self.has_session, self._is_held = True, holds
        return self.proceed()

    def clear(self) -> list[Request]:
        """Forget everything that waits. Return the requests that were never sent."""
        dropped = list(self._waiting)
        self._waiting.clear()
        self._is_held = False
        return dropped

    def drop(self, request: Request) -> None:
        """Forget the request, which need not be answered any more."""
        if request in self._waiting:
            self._waiting.remove(request)

    def on_started(self, response_id: str) -> None:
        ours = self._slot if isinstance(self._slot, _Requested) else None
        lacks_outputs = bool(self.pending_tool_outputs)
        self._slot = _Running(response_id, ours, lacks_outputs)
        self.active = response_id
        if ours is None:
            self._is_held = False
            self._drop_answered(lacks_outputs)
        elif ANSWER in self._waiting and not ours.request.command.has_words:
            # The caller's turn was reported before the response started, so the response knows it.
            self._is_held = False
            self._waiting.remove(ANSWER)

    def finish(self) -> Request | None:
        """Free the slot. Return the request of ours that it served."""
        request = self.current
        if isinstance(self._slot, _Running) and self._slot.ours:
            # The response came after these outputs, whether the server confirmed them or not:
            # some servers never do.
            self.pending_tool_outputs -= self._slot.ours.outputs
        self._slot = self.active = None
        return request

    def names_request(self, event_id: str | None) -> bool:
        """Return whether an error with this id is about the request that the slot serves."""
        match self._slot:
            case _Requested() as requested:
                return requested.event_id == event_id
            case _Running(ours=_Requested() as requested):
                return requested.event_id == event_id
            case _:
                return False

    def request_was_refused(self) -> None:
        """Note that the running response is the server's own, because ours was refused."""
        if not isinstance(self._slot, _Running) or self._slot.ours is None:
            return
        request, lacks_outputs = self._slot.ours.request, self._slot.lacks_outputs
        self._slot = replace(self._slot, ours=None)
        self._is_held = False
        self._drop_answered(lacks_outputs)
        if request.command.has_words or (lacks_outputs and request != ANSWER):
            self._waiting.appendleft(request)

    def proceed(self) -> list[CreateResponse]:
        """Send the next request if the slot is free and the gates are open."""
        is_closed = self._is_held or self.muted or not self.has_session
        if self._slot or is_closed or not self._waiting:
            return []
        request = self._waiting.popleft()
        if not request.command.has_words:
            # One answer is an answer to everything that was said so far.
            self._waiting = deque(r for r in self._waiting if r.command != request.command)
        self._number += 1
        event_id = f"response-{self._number}"
        self._slot = _Requested(request, event_id, frozenset(self.pending_tool_outputs))
        return [replace(request.command, event_id=event_id)]

    def _drop_answered(self, lacks_outputs: bool) -> None:
        """Drop requests for an answer, because the server answers the caller by itself."""
        self._waiting = deque(
            request
            for request in self._waiting
            if request.command.has_words or (lacks_outputs and request != ANSWER)
        )
