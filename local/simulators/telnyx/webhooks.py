"""Webhook delivery as Telnyx does it: signed, concurrent, retried, and not always in order."""

import asyncio
import base64
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulators.telnyx.events import WebhookPayload
from simulators.telnyx.undocumented import DEFAULT, Undocumented

DELIVERY_TIMEOUT_S = 2.0
# Telnyx says "exponential backoff" without numbers. webhook_retries_policies can override it per
# call.
RETRY_DELAYS_MS = (500, 1000, 2000)
ATTEMPTS_AT_PRIMARY = 2


def timestamp_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Event(msgspec.Struct):
    event_type: str
    id: str
    occurred_at: str
    payload: WebhookPayload
    record_type: str = "event"


class Meta(msgspec.Struct):
    attempt: int
    delivered_to: str


class Envelope(msgspec.Struct):
    data: Event
    meta: Meta


@dataclass(slots=True, eq=False)
class SentWebhook:
    event: Event
    statuses: list[int | None] = field(default_factory=list)
    """The status of each attempt, or None if no response came."""
    delivered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last attempt is over, successful or not."""
    overtaken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a later webhook of the call has been delivered."""

    @property
    def type(self) -> str:
        return self.event.event_type

    @property
    def id(self) -> str:
        return self.event.id

    @property
    def attempts(self) -> int:
        return len(self.statuses)


class WebhookSender:
    def __init__(
        self,
        client: httpx.AsyncClient,
        signing_key: Ed25519PrivateKey,
        failover_url: str | None,
        delay_ms: int = 0,
        undocumented: Undocumented = DEFAULT,
    ) -> None:
        self._client = client
        self._signing_key = signing_key
        self._failover_url = failover_url
        self._delay_ms = delay_ms
        self._undocumented = undocumented

    async def deliver(
        self, webhook: SentWebhook, url: str, retries_ms: Sequence[int] = RETRY_DELAYS_MS
    ) -> None:
        if self._undocumented.webhook_retries == "never":
            retries_ms = ()
        event = webhook.event
        for attempt, delay_ms in enumerate((self._delay_ms, *retries_ms), start=1):
            await asyncio.sleep(delay_ms / 1000)
            if attempt > 1 and self._undocumented.webhook_retries == "new_id":
                event = msgspec.structs.replace(event, id=str(uuid.uuid4()))
            if attempt > ATTEMPTS_AT_PRIMARY:
                url = self._failover_url or url
            status = await self._attempt(event, url, attempt)
            webhook.statuses.append(status)
            if not _is_retried(status):
                break
        webhook.delivered.set()

    async def _attempt(self, event: Event, url: str, attempt: int) -> int | None:
        body = msgspec.json.encode(Envelope(event, Meta(attempt, url)))
        try:
            response = await self._client.post(url, content=body, headers=self._headers(body))
        except httpx.HTTPError:
            return None
        return response.status_code

    def _headers(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        signature = self._signing_key.sign(timestamp.encode() + b"|" + body)
        return {
            "content-type": "application/json",
            "user-agent": "telnyx-webhooks",
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": timestamp,
        }


def _is_retried(status: int | None) -> bool:
    return status is None or status in (408, 429) or status >= 500
