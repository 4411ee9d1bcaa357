"""Decides whether and when a failed write is tried again."""

import asyncio
import random
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from phonebridge.errors import Conflict, TelnyxUnreachable

FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 5.0
WRITE_FAILURES = (BotoCoreError, ClientError)

_LASTING = frozenset(
    {
        "AccessDeniedException",
        "ItemCollectionSizeLimitExceededException",
        "ResourceNotFoundException",
        "ValidationException",
    }
)
"""Answers of DynamoDB that stay the same (Developer Guide, "Error handling with DynamoDB")."""


def is_passing(error: Exception) -> bool:
    """Whether the same write may succeed a moment later."""
    match error:
        case ParamValidationError():
            return False
        case ClientError():
            return error.response["Error"]["Code"] not in _LASTING
        case _:
            return isinstance(error, BotoCoreError | Conflict | TelnyxUnreachable)


class RetryPauses:
    """The pauses of all queues of a process. They grow, and differ, so that a table that comes back
    does not get all writes in the same moment."""

    def __init__(
        self,
        first_seconds: float = FIRST_PAUSE_SECONDS,
        max_seconds: float = MAX_PAUSE_SECONDS,
    ) -> None:
        self._first_seconds = first_seconds
        self._max_seconds = max_seconds
        self._is_ending = asyncio.Event()

    def shorten(self) -> None:
        """The process is about to end: no pause is longer than the first one from now on."""
        self._is_ending.set()

    async def wait(self, attempt: int) -> None:
        """Wait after the attempt of this number; the first one is 1."""
        if self._is_ending.is_set():
            await asyncio.sleep(self._first_seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds(attempt)):
                await self._is_ending.wait()

    def _seconds(self, attempt: int) -> float:
        # No attempt is so late that the power would overflow.
        longest = min(self._max_seconds, self._first_seconds * 2.0 ** min(attempt - 1, 30))
        return longest * random.uniform(0.5, 1.0)
