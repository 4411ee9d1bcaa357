"""The outcome webhook: which server is notified of the end of a call, and how often delivery is
tried."""

from dataclasses import replace

from phonebridge.call.call import CallStatus
from phonebridge.call.outcome import UNKNOWN
from phonebridge.call.webhook_delivery import WebhookDelivery, WebhookDeliveryState
from phonebridge.jobs import RetryLater
from phonebridge.outcomes import OutcomeAnnouncer
from phonebridge.storage.call_store import CallRecord

LAST_WORDS_SECONDS = 60
"""After this time, an incomplete record is sent as it is."""
PAUSES_SECONDS = (10, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200)
"""Pauses before the second and all later attempts, one day in total."""


class OutcomeWebhooks(OutcomeAnnouncer):
    def is_complete(self, record: CallRecord) -> bool:
        """Return whether the record is complete, or the wait for the rest has timed out."""
        call = record.call
        ended_ms = max(call.ended_at_ms or 0, call.changed_at_ms)
        if self._now_ms() > ended_ms + LAST_WORDS_SECONDS * 1000:
            return True
        streams = {each.stream_number for each in record.usages}
        reported = not call.attached_stream or call.attached_stream in streams
        is_explained = call.reason != UNKNOWN  # the webhook of the hangup may still come
        return call.status is CallStatus.ENDED and not call.may_be_up and reported and is_explained

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
