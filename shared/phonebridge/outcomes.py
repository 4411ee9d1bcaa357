"""Queues the outcome webhooks of ended calls."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from phonebridge.call.call import Call
from phonebridge.call.webhook_delivery import WebhookDelivery
from phonebridge.jobs import JobQueue
from phonebridge.storage.call_store import DynamoCallStore

FIRST_LOOK_SECONDS = 3
"""The container's last writes usually arrive within this time."""

_EVENTS = uuid.UUID("3d1f0f0e-9f0a-4b39-8d0f-5f6a1f1c7c55")


@dataclass(frozen=True, slots=True)
class SendOutcome:
    call_id: str
    job: str = ""


class OutcomeAnnouncer:
    """A Lambda announces the end of a phone call, which it learns from the carrier's webhook. A
    browser call has no carrier, so its container announces the end."""

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
        if not (call.has_own_webhook or self._default_url):
            return
        if self._store.webhook_delivery(call.call_id):
            return
        # In this order: a crash in between costs a repetition, not the notice.
        job = SendOutcome(call.call_id, str(uuid.uuid4()))
        self.queue.add(job, FIRST_LOOK_SECONDS)
        event_id = str(uuid.uuid5(_EVENTS, call.call_id))
        first = WebhookDelivery(event_id=event_id, changed_at_ms=self._now_ms(), job=job.job)
        self._store.add_webhook_delivery(call.call_id, first)

    def announce_browser_call(self, call: Call) -> None:
        if call.is_browser_call:
            self.announce(call)

    def _put(self, call_id: str, notice: WebhookDelivery) -> None:
        self._store.put_webhook_delivery(call_id, replace(notice, changed_at_ms=self._now_ms()))
