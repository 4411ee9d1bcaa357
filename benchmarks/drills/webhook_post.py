"""Webhooks of the carrier of the drills: signed, and delivered again as Telnyx does."""

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.drills.lockstep_loop import LockstepLoop
from benchmarks.drills.phone_leg import PhoneLeg
from simulators.telnyx.webhooks import DELIVERY_TIMEOUT_S, RETRY_DELAYS_MS, Envelope, Event, Meta

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


class WebhookPost:
    """`handler` is the Lambda that takes them."""

    def __init__(
        self,
        loop: LockstepLoop,
        tasks: asyncio.TaskGroup,
        handler: Handler,
        now_ms: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._tasks = tasks
        self._handler = handler
        self._now_ms = now_ms
        self._key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

    @property
    def public_key(self) -> str:
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def begin(self, leg: PhoneLeg, event: Event) -> None:
        self._tasks.create_task(self._deliver(leg, event))

    async def _deliver(self, leg: PhoneLeg, event: Event) -> None:
        delays_ms = leg.retries_ms.get(event.event_type, RETRY_DELAYS_MS)
        for attempt, delay_ms in enumerate((0, *delays_ms), start=1):
            await asyncio.sleep(delay_ms / 1000)
            if await self._is_taken(event, attempt):
                return
        leg.lost_webhooks.append(event.event_type)

    async def _is_taken(self, event: Event, attempt: int) -> bool:
        """False for what Telnyx delivers again."""
        request = self._signed(msgspec.json.encode(Envelope(event, Meta(attempt, "primary"))))
        job = self._loop.run_job(partial(self._handler, request, None))
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                answer = await asyncio.shield(job)
        except TimeoutError:
            return False  # the handler goes on, but nobody waits for it
        status: int = answer["statusCode"]
        return status not in (408, 429) and status < 500

    def _signed(self, body: bytes) -> dict[str, Any]:
        timestamp = str(self._now_ms() // 1000)
        signature = self._key.sign(timestamp.encode() + b"|" + body)
        headers = {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": timestamp,
        }
        return {"headers": headers, "body": body.decode(), "isBase64Encoded": False}
