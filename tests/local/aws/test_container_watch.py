import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aws.container_watch import ContainerWatch
from tests.support.waiting import until

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Container:
    """Answers while the machine lets it run."""

    def __init__(self) -> None:
        self.runs = asyncio.Event()
        self.runs.set()
        self.questions = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.questions += 1
        await self.runs.wait()
        writer.write(ANSWER)
        writer.close()


@asynccontextmanager
async def watched_container() -> AsyncIterator[
    tuple[Container, ContainerWatch, asyncio.Task[None]]
]:
    container = Container()
    async with (
        await asyncio.start_server(container.serve, "127.0.0.1", 0) as server,
        asyncio.TaskGroup() as tasks,
    ):
        watch = ContainerWatch(server.sockets[0].getsockname()[1])
        watching = tasks.create_task(watch.watch())
        try:
            yield container, watch, watching
        finally:
            container.runs.set()
            watching.cancel()


async def until_it_would_wait(watch: ContainerWatch) -> asyncio.Task[bool]:
    """A task that waits for the container, begun once it is known to stand still."""
    while True:
        waiting = asyncio.ensure_future(watch.wait())
        await asyncio.sleep(0)
        if not waiting.done():
            return waiting
        await asyncio.sleep(0.01)


async def test_nobody_waits_for_a_container_that_runs() -> None:
    async with watched_container() as (container, watch, _):
        await until(lambda: container.questions > 2)
        assert not await watch.wait()


async def test_a_container_that_stands_still_is_waited_for() -> None:
    async with watched_container() as (container, watch, _):
        container.runs.clear()
        waiting = await until_it_would_wait(watch)
        assert not waiting.done()
        container.runs.set()
        assert await waiting


async def test_nobody_waits_once_nobody_watches() -> None:
    async with watched_container() as (container, watch, watching):
        container.runs.clear()
        waiting = await until_it_would_wait(watch)
        watching.cancel()
        assert await waiting
        assert not await watch.wait()
