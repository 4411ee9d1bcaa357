"""Runs the image with docker or podman, as ECS runs a task."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.02
HARDENING = (
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
)
PROGRAM = ("python", "-m", "media_bridge")


class EngineFailed(Exception):
    """The engine, or the container, did not do what was asked. The message says what."""


@dataclass(frozen=True, slots=True)
class Engine:
    command: tuple[str, ...]
    """The command, with its global options."""
    image: str
    run_arguments: tuple[str, ...] = ()

    def layers_mb(self) -> float:
        """Return the size of what we add to the base image."""
        tar = ("tar", "-cz", "-C", "/", "packages", "app")
        command = (*self.command, "run", "--rm", *self.run_arguments, *HARDENING, self.image, *tar)
        done = subprocess.run(command, check=False, capture_output=True)
        _check(command, done.returncode, done.stderr.decode())
        return len(done.stdout) / 1e6

    def run_command(self, *options: str) -> tuple[str, ...]:
        """Return the command that runs the container. Arguments of the program may follow."""
        return (
            *(*self.command, "run", *options, *HARDENING, *self.run_arguments),
            *(self.image, *PROGRAM),
        )

    @contextmanager
    def running(self, variables: Mapping[str, str], port: int) -> Iterator[str]:
        """Yield the id of a container in the background."""
        given = tuple(f"--env={name}={value}" for name, value in variables.items())
        command = (*self.run_command("--detach", *given), f"--port={port}", "--host=127.0.0.1")
        container = self._output(*command[len(self.command) :])
        try:
            yield container
        finally:
            self._output("rm", "--force", container)

    def started_at(self, container: str) -> datetime:
        text = self._output("inspect", "--format={{json .State.StartedAt}}", container).strip('"')
        # Python reads no nanoseconds.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))

    def wait_until_healthy(self, port: int) -> None:
        url, end = f"http://127.0.0.1:{port}/healthz", time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            try:
                if httpx.get(url, headers={"User-Agent": "ELB-HealthChecker/2.0"}).is_success:
                    return
            except httpx.TransportError:
                time.sleep(POLL_SECONDS)
        raise EngineFailed(f"{url} did not answer within {TIMEOUT_SECONDS:g} s")

    def rss_mb(self, container: str) -> float:
        pid = self._output("inspect", "--format={{.State.Pid}}", container)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise EngineFailed("the kernel does not tell the memory of the container")

    def wait_until_signals_are_handled(self, container: str) -> None:
        """Wait until the program handles SIGTERM. The first process of a container ignores it until
        then. ECS gives the container another first process (`InitProcessEnabled`)."""
        pid = self._output("inspect", "--format={{.State.Pid}}", container)
        end = time.monotonic() + TIMEOUT_SECONDS
        while not _handles_sigterm(Path(f"/proc/{pid}/status").read_text()):
            if time.monotonic() > end:
                raise EngineFailed("the container handles no SIGTERM")
            time.sleep(POLL_SECONDS)

    def terminate(self, container: str) -> None:
        self._output("kill", "--signal=TERM", container)

    def stop(self, container: str) -> float:
        """Return the seconds from SIGTERM to the end, which must be in order."""
        began = time.monotonic()
        self.terminate(container)
        code = self._output("wait", container)
        if code != "0":
            raise EngineFailed(f"the container ended with exit code {code}")
        return time.monotonic() - began

    def _output(self, *arguments: str) -> str:
        command = (*self.command, *arguments)
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        _check(command, done.returncode, done.stderr)
        return done.stdout.strip()


def _handles_sigterm(status: str) -> bool:
    """Read the mask of caught signals (man 5 proc, `SigCgt`)."""
    [mask] = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) & 1 << (signal.SIGTERM - 1))


def _check(command: tuple[str, ...], code: int, complaint: str) -> None:
    if code:
        raise EngineFailed(f"`{' '.join(command[:2])} …` failed ({code}): {complaint.strip()}")
