"""Writes the turns of all calls to the table.

Requests to DynamoDB were a fifth of the container's CPU when each turn had its own. So turns that
end within two seconds are written together, and turns of one call share an item, which also costs
fewer write units. What cannot be written is tried again, as in `write_queue.py`. Two seconds are
also the longest delay of a turn in the record, and what a killed container loses.
"""

import asyncio
from dataclasses import replace
from functools import partial

from aws_lambda_powertools import Logger

from media_bridge.runtime.retries import WRITE_FAILURES, RetryPauses, is_passing
from media_bridge.runtime.threads import Threads
from phonebridge.call.turn import Turn
from phonebridge.storage.call_store import DynamoCallStore

LINGER_SECONDS = 2.0
MAX_QUEUED_TURNS = 5_000
"""Maximum number of turns that wait while the table is unreachable, some minutes of a full
container. The oldest are dropped first."""
MAX_TEXT_LENGTH = 30_000
"""Characters, of six bytes in JSON at most: said and unheard words together fit into an item. One
that is too large would be refused with all the turns beside it, again and again."""


class TurnWriter:
    def __init__(self, store: DynamoCallStore, log: Logger, pauses: RetryPauses) -> None:
        self._store = store
        self._log = log
        self._pauses = pauses
        self._waiting: dict[tuple[str, int, int], Turn] = {}
        self._has_turns = asyncio.Event()
        self._writing = asyncio.Lock()
        self._threads = Threads("turns", 1)

    def add(self, call_id: str, turn: Turn) -> None:
        if max(len(turn.text), len(turn.unheard)) > MAX_TEXT_LENGTH:
            words, unheard = turn.text[:MAX_TEXT_LENGTH], turn.unheard[:MAX_TEXT_LENGTH]
            turn = replace(turn, text=words, unheard=unheard)
        self._waiting[call_id, turn.stream_number, turn.number] = turn
        if len(self._waiting) > MAX_QUEUED_TURNS:
            del self._waiting[next(iter(self._waiting))]
        self._has_turns.set()

    async def write(self) -> None:
        """Write turns until the process ends, `LINGER_SECONDS` after the first one that waits."""
        while True:
            await self._has_turns.wait()
            await asyncio.sleep(LINGER_SECONDS)
            await self.flush()
            if not self._waiting:
                self._has_turns.clear()

    def discard(self, call_id: str) -> None:
        """Drop the waiting turns of a call, because another program has taken it over."""
        self._waiting = {key: turn for key, turn in self._waiting.items() if key[0] != call_id}

    async def wait_until_written(self, call_id: str) -> None:
        """Return when no turn of the call waits any more."""
        attempt = 0
        while True:
            await self.flush()
            if all(waiting != call_id for waiting, *_ in self._waiting):
                return
            attempt += 1
            await self._pauses.wait(attempt)

    async def flush(self) -> None:
        """Write everything that was added before. Turns that cannot be written wait for the next
        time."""
        async with self._writing:
            if not self._waiting:
                return
            taken, self._waiting = self._waiting, {}
            turns = [(call_id, turn) for (call_id, *_), turn in taken.items()]
            left = await self._write_batch(turns)
            again = {(each, turn.stream_number, turn.number): turn for each, turn in left}
            self._waiting = again | self._waiting

    async def _write_batch(self, turns: list[tuple[str, Turn]]) -> list[tuple[str, Turn]]:
        """Return the turns that are to be written again."""
        try:
            return await self._threads.run(partial(self._store.add_turns, turns))
        except WRITE_FAILURES as error:
            self._log.error("turns not written", reason=str(error), turns=len(turns))
            return turns if is_passing(error) else []
        except Exception:  # noqa: BLE001 - the border of all calls' turns: one bad turn ends no call
            self._log.exception("turns lost", turns=len(turns))
            return []
