"""Keeps the changes of a running session, in the order in which they were sent, until the server
has confirmed or refused them."""

from collections import deque
from dataclasses import dataclass, field

from media_bridge.openai.realtime import ErrorDetail, Session, SessionUpdate
from phonebridge.call.steering import Update


@dataclass(frozen=True, slots=True)
class ProposedUpdate:
    event_id: str
    update: Update
    session: Session
    """The settings that were sent."""


@dataclass(slots=True)
class PendingUpdates:
    _open: deque[ProposedUpdate] = field(default_factory=deque)
    _sent: int = 0

    def propose(self, update: Update, session: Session) -> SessionUpdate:
        self._sent += 1
        proposed = ProposedUpdate(f"update-{self._sent}", update, session)
        self._open.append(proposed)
        return SessionUpdate(session, proposed.event_id)

    def take(self) -> ProposedUpdate | None:
        """Take the change that `session.updated` is about."""
        return self._open.popleft() if self._open else None

    def reject(self, error: ErrorDetail) -> ProposedUpdate | None:
        """Drop and return the update that an error is about."""
        for proposed in self._open:
            if error.event_id == proposed.event_id or _is_about_settings(error):
                self._open.remove(proposed)
                return proposed
        return None


def _is_about_settings(error: ErrorDetail) -> bool:
    """Recognize a refused update without an event id, because not every server names the client's
    event."""
    of_session = (error.param or "").startswith("session")
    return error.event_id is None and (of_session or error.code == "cannot_update_voice")
