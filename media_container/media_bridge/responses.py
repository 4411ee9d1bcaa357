"""One response at a time: the model refuses a second while one is active (OpenAI, "Realtime
client events", `response.create`), and its detector starts some on its own. So whoever wants the
model to speak asks here, and is served in turn.
"""

from collections import deque
from dataclasses import dataclass, field

from media_bridge.commands import Respond


@dataclass(slots=True)
class Responses:
    active: str | None = None
    """The response that is being generated."""
    unseen: set[str] = field(default_factory=set)
    """Outputs of tools that the model was sent, and has not added to the conversation yet."""
    _asked: Respond | None = None
    _asked_after: frozenset[str] = frozenset()
    _waiting: deque[Respond] = field(default_factory=deque)
    _held: bool = False
    muted: bool = False
    _started_unaware: bool = False
    """The active response began before the model had all outputs: it does not tell of them."""

    @property
    def generating(self) -> bool:
        return bool(self.active or self._asked)

    @property
    def idle(self) -> bool:
        """Nothing is being generated, and nothing more was asked for."""
        return not (self.generating or self._waiting)

    def ask(self, request: Respond) -> list[Respond]:
        """What to send now; the rest waits for its turn. One answer is an answer to everything."""
        if request.has_words or request not in self._waiting:
            self._waiting.append(request)
        return self._next()

    def ask_first(self, request: Respond) -> list[Respond]:
        """Before all that waits."""
        self._waiting.appendleft(request)
        return self._next()

    def ask_again(self) -> list[Respond]:
        """The last response failed: the same once more."""
        self._waiting.appendleft(self._asked or Respond())
        self.active = self._asked = None
        return self._next()

    def unmute(self) -> list[Respond]:
        self.muted = False
        return self._next()

    def hold(self) -> None:
        """The caller speaks: the model will answer that by itself, and first."""
        self._held = True

    def forget(self) -> None:
        """Nothing is wished for any more; what is on its way comes yet."""
        self._waiting.clear()
        self._held = False

    def answer(self) -> list[Respond]:
        """The caller has spoken, and the model does not answer that by itself."""
        self._held = False
        return self.ask_first(Respond())

    def started(self, response_id: str) -> None:
        is_own = self._asked is not None and self.active is None
        self.active = response_id
        self._held = False
        self._started_unaware = bool(self.unseen)
        if not (is_own or self.unseen):
            # It answers all that was heard so far; one of our own, what was heard when we asked.
            self._waiting = deque(request for request in self._waiting if request.has_words)

    def ended(self, response_id: str) -> list[Respond]:
        if response_id != self.active:
            return []
        if self._asked:
            # It came after those, whether the server confirmed them or not: some never do.
            self.unseen -= self._asked_after
        self.active = self._asked = None
        return self._next()

    def refused(self) -> None:
        """The model was already responding: what that does not answer waits for its end."""
        if self._asked and (self._asked.has_words or self._started_unaware):
            self._waiting.appendleft(self._asked)
        self._asked = None

    def _next(self) -> list[Respond]:
        if self.active or self._asked or self._held or self.muted or not self._waiting:
            return []
        self._asked = self._waiting.popleft()
        self._asked_after = frozenset(self.unseen)
        return [self._asked]
