"""Runs our programs as processes."""

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
"""The environment before any test. A system in this process stores its settings in the environment.
Programs under test must get neither those nor the developer's."""


@asynccontextmanager
async def python(
    *command: str,
    environ: Mapping[str, str],
    cwd: Path | None = None,
    prefix: Sequence[str] = (),
) -> AsyncIterator[Process]:
    """Run a Python program. If the test has not ended it, it is first asked to end, so that it can
    stop its own children.

    `prefix` is a program that starts ours.
    """
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
    """Return all output after the process has ended by itself."""
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
