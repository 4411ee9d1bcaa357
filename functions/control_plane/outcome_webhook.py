"""The outcome webhook: which server is notified of the end of a call, and how often delivery is
tried."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from control_plane.jobs import JobQueue, RetryLater
from phonebridge.call.call import Call, CallStatus
from phonebridge.call.webhook_delivery import WebhookDelivery, WebhookDeliveryState
from phonebridge.storage.call_store import CallRecord, DynamoCallStore

FIRST_LOOK_SECONDS = 3
"""The container's last writes usually arrive within this time."""
LAST_WORDS_SECONDS = 60
"""After this time, an incomplete record is sent as it is."""
PAUSES_SECONDS = (10, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200)
"""Pauses before the second and all later attempts, one day in total."""

_EVENTS = uuid.UUID("3d1f0f0e-9f0a-4b39-8d0f-5f6a1f1c7c55")


@dataclass(frozen=True, slots=True)
class SendOutcome:
    call_id: str


class OutcomeWebhooks:
    def __init__(
        self,
        store: DynamoCallStore,
        queue: JobQueue,
        default_url: str,
        now_ms: Callable[[], int],
    ) -> None:
        self.queue = queue
        self._store = store
        self._default_url = default_url
        self._now_ms = now_ms

    def url(self, own: str | None) -> str:
        """Return the URL to notify. It is empty if no URL is configured."""
        return own or self._default_url

    def announce(self, call: Call) -> None:
        """Queue the webhook of a call that has ended. A repetition does nothing."""
        config = self._store.config(call.call_id)
        if not self.url(config.webhook_url if config else None):
            return
        if self._store.webhook_delivery(call.call_id):
            return
        # In this order: a crash in between costs a repetition, not the notice.
        self.queue.add(SendOutcome(call.call_id), FIRST_LOOK_SECONDS)
        self._put(call.call_id, WebhookDelivery(event_id=str(uuid.uuid5(_EVENTS, call.call_id))))

    def is_complete(self, record: CallRecord) -> bool:
        """Return whether the record is complete, or the wait for the rest has timed out."""
        call = record.call
        ended_ms = max(call.ended_at_ms or 0, call.changed_at_ms)
        if self._now_ms() > ended_ms + LAST_WORDS_SECONDS * 1000:
            return True
        streams = {each.stream_number for each in record.usages}
        reported = not call.attached_stream or call.attached_stream in streams
        return call.status is CallStatus.ENDED and not call.may_be_up and reported

    def mark_delivered(self, call_id: str, notice: WebhookDelivery, attempt: int) -> None:
        done = replace(notice, state=WebhookDeliveryState.DELIVERED, attempts=attempt, problem="")
        self._put(call_id, done)

    def mark_failed(
        self, call_id: str, notice: WebhookDelivery, attempt: int, problem: str
    ) -> None:
        """Note a failed attempt. Raises `RetryLater`, so that the message is delivered again, or
        moved to the dead-letter queue."""
        over = attempt > len(PAUSES_SECONDS)
        state = WebhookDeliveryState.GIVEN_UP if over else WebhookDeliveryState.WAITING
        self._put(call_id, replace(notice, state=state, attempts=attempt, problem=problem))
        raise RetryLater(problem, 0 if over else PAUSES_SECONDS[attempt - 1])

    def _put(self, call_id: str, notice: WebhookDelivery) -> None:
        self._store.put_webhook_delivery(call_id, replace(notice, changed_at_ms=self._now_ms()))
