"""Sends hangups without waiting for the table, because an open leg costs money."""

import asyncio
from contextlib import suppress
from functools import partial

from aws_lambda_powertools import Logger

from media_bridge.runtime.retries import RetryPauses
from media_bridge.runtime.threads import Threads
from phonebridge.call.call import Call
from phonebridge.call.commands import HangUp, SpeakToCaller, StopStreaming
from phonebridge.call.config import CallConfig
from phonebridge.errors import TelnyxError, TelnyxUnreachable
from phonebridge.ports import Carrier

RECORD_TIMEOUT_SECONDS = 0.5
"""A healthy table confirms within milliseconds, and the hangup follows within this time."""


class Hangups:
    """Hangups have their own threads. Those of the calls may all wait for the table."""

    def __init__(
        self, carrier: Carrier, log: Logger, pauses: RetryPauses, threads: Threads
    ) -> None:
        self._carrier = carrier
        self._log = log
        self._pauses = pauses
        self._threads = threads

    async def ensure(self, call: Call, recorded: asyncio.Event) -> None:
        """Hang up a call whose end is not `recorded` soon. The later write hangs up again with the
        same `command_id`, which Telnyx ignores."""
        if call.leg is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(RECORD_TIMEOUT_SECONDS):
                await recorded.wait()
        attempt = 0
        while not recorded.is_set():
            attempt += 1
            if await self._is_sent(call):
                return
            await self._pauses.wait(attempt)

    async def speak(self, call: Call, words: str) -> bool:
        """Let the carrier stop the stream and speak to the caller. Return False if it refused."""
        try:
            for command in (StopStreaming(call.attached_stream), SpeakToCaller(words)):
                await self._threads.run(partial(self._carrier.execute, command, call, CallConfig()))
        except TelnyxError as error:
            self._log.warning("carrier did not speak", call_id=call.call_id, reason=str(error))
            return False
        return True

    async def _is_sent(self, call: Call) -> bool:
        """Return False if the carrier did not answer."""
        hang_up = partial(self._carrier.execute, HangUp(), call, CallConfig())
        try:
            await self._threads.run(hang_up)
        except TelnyxUnreachable as error:
            self._log.error("hangup delayed", call_id=call.call_id, reason=str(error))
            return False
        except TelnyxError as error:
            self._log.warning("hangup refused", call_id=call.call_id, reason=str(error))
        else:
            self._log.warning("call hung up before its end is on record", call_id=call.call_id)
        return True
