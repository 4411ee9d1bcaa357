"""Decides which webhooks need an entry in a call's timeline, and adds those that follow from its
head.

Every entry costs a write unit. An outbound call is initiated when it is created, and its head has
the time of the answer. So neither event needs an entry of its own.
"""

from collections.abc import Sequence

from phonebridge.call.call import Call
from phonebridge.call.events import CallAnswered, CallEvent, CallInitiated
from phonebridge.ports import TimelineEntry

UNLISTED = frozenset({"call.cost", "streaming.started", "streaming.stopped"})
"""Types of webhooks that the timeline leaves out unless they are an event of the call. Charges and
media have fields of their own."""


def needs_entry(event_type: str, event: CallEvent | None, call: Call) -> bool:
    """Return whether the webhook needs an entry, once its event was applied to the call."""
    match event:
        case CallInitiated():
            return False
        case CallAnswered(_, at_ms):
            return at_ms != _answered_at_ms(call)
    return event is not None or event_type not in UNLISTED


def complete_timeline(call: Call, stored: Sequence[TimelineEntry]) -> tuple[TimelineEntry, ...]:
    """Return the stored entries and the one of the answer in their order."""
    answered_at_ms = _answered_at_ms(call)
    if answered_at_ms is None:
        return tuple(stored)
    answered = TimelineEntry(answered_at_ms, "answered", "call.answered")
    return tuple(sorted((*stored, answered), key=lambda entry: entry.at_ms))


def _answered_at_ms(call: Call) -> int | None:
    """Return the time in the webhook of the answer, or None if there was none."""
    return None if call.is_answer_estimated else call.answered_at_ms
