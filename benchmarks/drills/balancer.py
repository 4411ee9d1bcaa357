"""A load balancer that does not read what it carries: each new connection goes to the next target.

It does not notice that a target is dead, like a balancer before its next health check.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 65_536


class Balancer:
    def __init__(self) -> None:
        self.targets: tuple[int, ...] = ()
        """Ports of this machine."""
        self._next = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self.targets[self._next % len(self.targets)]
        self._next += 1
        try:
            from_target, to_target = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        async with asyncio.TaskGroup() as directions:
            directions.create_task(_copy(reader, to_target))
            directions.create_task(_copy(from_target, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends. A connection that is reset resets the other one."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.close()
        return
    writer.transport.abort()


@asynccontextmanager
async def balancer() -> AsyncIterator[tuple[Balancer, str]]:
    """Yield it and its address. Its targets are set later."""
    carries = Balancer()
    server = await asyncio.start_server(carries.carry, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield carries, f"{host}:{port}"
    finally:
        server.close()
