"""Claims calls for this task, and reads what their sessions need."""

import asyncio
from dataclasses import dataclass
from functools import partial

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.runtime.continuation import Continuation, continuation_of
from media_bridge.runtime.retries import WRITE_FAILURES
from media_bridge.runtime.services import Services
from media_bridge.runtime.speech_cache import FoundClips
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig
from phonebridge.call.events import MediaAttached
from phonebridge.errors import UnknownCall


@dataclass(frozen=True, slots=True)
class ClaimedCall:
    """A call that this task has claimed, and what is known of it."""

    call: Call
    config: CallConfig
    greeting: CachedGreeting | None = None
    found: FoundClips = FoundClips()
    before: Continuation | None = None
    """What the earlier streams of the call have left."""


class CallClaims:
    def __init__(self, services: Services, timeout_seconds: float) -> None:
        """`timeout_seconds`: how long a claim is tried while the table fails."""
        self._services = services
        self._timeout_seconds = timeout_seconds

    async def claim(self, call_id: str, attached: MediaAttached) -> ClaimedCall:
        """Claim the call, in several attempts. Raises `UnknownCall` and `InvalidTransition`.

        A claim whose answer got lost may have been written. Then the next attempt finds it.
        """
        attempt, ends_at = 0, asyncio.get_running_loop().time() + self._timeout_seconds
        while True:
            attempt += 1
            try:
                return await self._services.threads.run(partial(self._claim, call_id, attached))
            except WRITE_FAILURES as error:
                if asyncio.get_running_loop().time() >= ends_at:
                    raise
                self._services.log.warning("call not claimed yet", reason=str(error))
                await self._services.pauses.wait(attempt)

    def _claim(self, call_id: str, attached: MediaAttached) -> ClaimedCall:
        """Claim the call. A second socket with the same token fails here. The claim comes last:
        once the call is ours, nothing may fail before its session runs."""
        config, before = self._settings_and_past(call_id, attached.stream_number)
        greeting, clips = self._recorded_speech(config)
        call = self._services.switchboard.apply(call_id, attached)
        if before:
            self._services.metrics.stream_restarted()
        return ClaimedCall(call, config, greeting, clips, before)

    def _settings_and_past(
        self, call_id: str, number: int
    ) -> tuple[CallConfig, Continuation | None]:
        """Read the settings of the call, and its earlier streams. A first stream has none."""
        if number == 1:
            return self._services.store.config(call_id) or CallConfig(), None
        record = self._services.store.record(call_id)
        if record is None:
            raise UnknownCall(call_id)
        config = self._services.store.latest_config(call_id) or CallConfig()
        return config, continuation_of(record, self._services.now_ms())

    def _recorded_speech(self, config: CallConfig) -> tuple[CachedGreeting | None, FoundClips]:
        """Read the recorded speech. Without it, the call is greeted a little later, and has no
        clips."""
        cache = self._services.speech_cache
        try:
            return cache.find_greeting(config), cache.find_clips(config)
        except (BotoCoreError, ClientError, msgspec.ValidationError) as error:
            self._services.log.error("recorded speech not read", reason=str(error))
            return None, FoundClips()
