"""Our programs as processes of their own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from phonebridge.settings import ControlSettings, MediaSettings
from tests.support.waiting import TIMEOUT_SECONDS, until

_OURS = {
    name.upper()
    for settings in (ControlSettings, MediaSettings)
    for name in settings.__dataclass_fields__
}
_INHERITED = {name: value for name, value in os.environ.items() if name not in _OURS}
"""Read before any test: a system that runs in this process has its settings and its table in the
environment, and neither those nor what the developer has set must reach a program under test."""


@asynccontextmanager
async def python(
    *command: str,
    environ: Mapping[str, str],
    cwd: Path | None = None,
    prefix: Sequence[str] = (),
) -> AsyncIterator[Process]:
    """Ends it, if the test did not: first so that it can end what it has started itself.
    `prefix` is a program that starts ours."""
    process = await asyncio.create_subprocess_exec(
        *prefix,
        sys.executable,
        *command,
        env=_INHERITED | dict(environ),
        cwd=cwd,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        with suppress(TimeoutError):
            await exit_code(process)
        if process.returncode is None:
            process.kill()


async def exit_code(process: Process) -> int:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await process.wait()


async def output_of(process: Process) -> str:
    """All it printed, once it has ended by itself."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        printed, _ = await process.communicate()
    return printed.decode()


async def answering(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:

        async def answers() -> bool:
            try:
                return (await http.get(url)).is_success
            except httpx.TransportError:
                return False

        await until(answers)
