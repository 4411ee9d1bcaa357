"""The delivery of an outcome webhook to the user's server."""

from dataclasses import dataclass
from enum import StrEnum


class WebhookDeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    event_id: str
    """The same id for every attempt, so that a receiver recognises a repetition."""
    state: WebhookDeliveryState = WebhookDeliveryState.WAITING
    attempts: int = 0
    changed_at_ms: int = 0
    problem: str = ""
    job: str = ""
    """The job that delivers the webhook. Two events of an ended call may queue one each at the same
    moment."""
