"""What became of telling the user's server that a call has ended."""

from dataclasses import dataclass
from enum import StrEnum


class WebhookDeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    event_id: str
    """The same for every attempt: how a receiver knows a repetition."""
    state: WebhookDeliveryState = WebhookDeliveryState.WAITING
    attempts: int = 0
    changed_at_ms: int = 0
    problem: str = ""
    job: str = ""
    """The job that delivers. Two events of an ended call may queue one each at the same moment."""
