"""Watches whether the machine lets the media container run, so that simulated people wait for it.

The container sends its sound 100 to 200 ms ahead of playback. If a busy machine stops the container
for longer, a person who goes on listening hears a gap that no program made. So the time of
simulated people passes only while the container answers. What a busy machine costs real callers is
measured by the benchmarks.
"""

import asyncio
import math

ASK_EVERY_SECONDS = 0.02
MAX_AGE_SECONDS = 0.06
"""Maximum age of the last response. It is shorter than the audio that was sent ahead."""
QUESTION = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class ContainerWatch:
    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._answered_at = self._loop.time()
        self._answered = asyncio.Event()

    async def watch(self) -> None:
        """Watch the container until cancelled. After that, `wait` returns at once."""
        try:
            while True:
                asked_at = self._loop.time()
                await self._ask()
                self._note_answer(asked_at)
                await asyncio.sleep(ASK_EVERY_SECONDS)
        finally:
            self._note_answer(math.inf)

    def _note_answer(self, at: float) -> None:
        self._answered_at = at
        self._answered.set()
        self._answered = asyncio.Event()

    async def wait(self) -> bool:
        """Wait until the container has run recently. Return whether that took any time."""
        has_waited = False
        while self._loop.time() - self._answered_at > MAX_AGE_SECONDS:
            has_waited = True
            await self._answered.wait()
        return has_waited

    async def _ask(self) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return  # it has ended, and nobody waits for it any more
        try:
            writer.write(QUESTION)
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()
