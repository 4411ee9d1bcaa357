"""The processes of the local stack: Python programs of ours, among them the media containers."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parent
START_SECONDS = 120.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.1


@dataclass(slots=True)
class Container:
    """A media container that may be killed, and started again on its port."""

    port: int
    process: Process
    start: Callable[[], Awaitable[Process]]

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def restart(self) -> None:
        self.process = await self.start()


@asynccontextmanager
async def process(
    *command: str, environ: Mapping[str, str] | None = None, output: int = asyncio.subprocess.PIPE
) -> AsyncIterator[Process]:
    """Run a Python program of ours until the context ends."""
    process = await _started(*command, environ=environ, output=output)
    try:
        yield process
    finally:
        await _stop(process)


async def _started(*command: str, environ: Mapping[str, str] | None, output: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=HERE, env=environ, stdout=output, start_new_session=True
    )


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def media_containers(
    program: Sequence[str], environ: Mapping[str, str], ports: Sequence[int], log: int
) -> AsyncIterator[list[Container]]:
    # The API answers 503 without a key, so no call gets here. The container needs one to start.
    environ = {**os.environ, **environ, "OPENAI_API_KEY": environ["OPENAI_API_KEY"] or "none"}
    containers: list[Container] = []
    try:
        for port in ports:
            command = (*program, "--host", "127.0.0.1", "--port", str(port))
            start = partial(_started_container, command, port, environ, log)
            containers.append(Container(port, await start(), start))
        yield containers
    finally:
        await asyncio.gather(*(_stop(each.process) for each in containers))


async def _started_container(
    command: Sequence[str], port: int, environ: Mapping[str, str], log: int
) -> Process:
    process = await _started(*command, environ=environ, output=log)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_stop, process)
        await _answering(f"http://127.0.0.1:{port}/healthz", process)
        stack.pop_all()
    return process


async def _answering(url: str, process: Process) -> None:
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        while True:
            if process.returncode is not None:
                raise SystemExit("the media container did not start; see its message above")
            try:
                (await client.get(url)).raise_for_status()
                return
            except httpx.TransportError:
                await asyncio.sleep(POLL_SECONDS)
