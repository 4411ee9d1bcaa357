"""Decides whether another session is opened after one was lost or refused, and when.

    what happened                                       another attempt
    -------------                                       ---------------
    closed with 3000, 4000 or 4004, or for want of      never: the key, the settings or the account
    quota; refused with HTTP 401 or 403                 must change first
    a session was lost, for the first time              at once
    for the second to fifth time in a call              0.25 s later with each time
    an attempt failed                                   after 0.5, 1 and 2 s with a spread, or after
                                                        `Retry-After` if that is longer
    4 attempts for one loss, or 5 losses in one call,   none
    or 12 s without a session

The phone may ring for longer than 12 s, so then only the attempts are counted.
"""

import zlib
from dataclasses import dataclass
from enum import StrEnum

from media_bridge import events
from media_bridge.conversation.retry_budget import FATAL_CODES

FATAL_CLOSE_CODES = (3000, 4000, 4004)
FATAL_STATUSES = (401, 403)
RESET_CODE = 1006
MAX_ATTEMPTS = 4
MAX_LOSSES = 5
FIRST_BACK_OFF_SECONDS = 0.5
NEXT_LOSS_SECONDS = 0.25
SPREAD = 0.25
"""A task may lose all its sessions at once. Their back-off differs by up to this share."""
TIMEOUT_SECONDS = 12.0


class LossReason(StrEnum):
    """Why a session was lost, as the metrics count it."""

    CLOSED = "closed"
    RESET = "reset"
    UNANSWERED_PING = "unanswered_ping"
    UNRESPONSIVE = "unresponsive"
    STALLED = "stalled"


@dataclass(slots=True)
class ReconnectBudget:
    """`call_id` spreads the back-off, so that it is the same whenever a call is replayed."""

    call_id: str
    attempts: int = 0
    losses: int = 0

    def lose(self) -> None:
        """Count the loss of a session that was ready."""
        self.losses += 1
        self.attempts = 0

    def start_over(self) -> None:
        self.attempts = self.losses = 0

    def delay(self, retry_after: float | None) -> float | None:
        """Return the seconds until the next attempt, or None if there is none."""
        if self.attempts >= MAX_ATTEMPTS or self.losses > MAX_LOSSES:
            return None
        if not self.attempts:
            return NEXT_LOSS_SECONDS * max(0, self.losses - 1)
        back_off: float = FIRST_BACK_OFF_SECONDS * 2 ** (self.attempts - 1)
        spread = zlib.crc32(self.call_id.encode()) % 1000 / 1000
        return max(back_off * (1 + SPREAD * spread), retry_after or 0.0)


def is_final(event: events.ModelClosed | events.ConnectFailed) -> bool:
    """Return whether another attempt would end in the same way."""
    match event:
        case events.ModelClosed(code, reason):
            wants_quota = any(each in reason for each in FATAL_CODES)
            return code in FATAL_CLOSE_CODES or wants_quota
        case events.ConnectFailed(detail, status):
            wants_quota = any(each in detail for each in FATAL_CODES)
            return status in FATAL_STATUSES or wants_quota


def reason_of(event: events.ModelClosed) -> LossReason:
    if "ping" in event.reason:
        return LossReason.UNANSWERED_PING
    return LossReason.RESET if event.code == RESET_CODE else LossReason.CLOSED
