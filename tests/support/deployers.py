"""A machine that deploys: our programs unchanged, and moto in place of AWS."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.support.aws_programs import installed
from tests.support.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).parents[2]


@dataclass
class Machine:
    """A machine that deploys."""

    folder: Path
    aws: str
    stack: str = field(default_factory=lambda: f"s{uuid.uuid4().hex[:8]}")
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environ |= {
            "AWS_ENDPOINT_URL": self.aws,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NOTES": str(self.folder / "notes"),
            "PATH": f"{installed(self.folder / 'bin', 'sam', 'docker')}:/usr/bin:/bin",
        }

    async def run(self, program: str, *arguments: str, typed: str = "") -> tuple[int, str]:
        command = (sys.executable, str(ROOT / "local" / program), *arguments)

        def finished() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command,
                env=self.environ,
                cwd=self.folder,
                input=typed,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=2 * TIMEOUT_SECONDS,
                check=False,
            )

        process = await asyncio.to_thread(finished)
        return process.returncode, process.stdout

    async def converse(self, program: str, *arguments: str, answers: list[str]) -> tuple[int, str]:
        """Run a program at a terminal, and type the next answer whenever it asks."""
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "local" / program),
            *arguments,
            env=self.environ,
            cwd=self.folder,
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # otherwise getpass would use the terminal of the tests
        )
        os.close(theirs)
        assert process.stdout is not None
        printed, waiting = b"", iter(answers)
        while read := await process.stdout.read(4096):
            printed += read
            if printed.endswith(b"): ") and (answer := next(waiting, None)):
                os.write(ours, answer.encode() + b"\n")
        os.close(ours)
        return await process.wait(), printed.decode()

    async def deploy(self, *arguments: str) -> tuple[int, str]:
        return await self.run("deploy.py", "--stack", self.stack, *arguments)

    @property
    def notes(self) -> list[dict[str, Any]]:
        path = self.folder / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def done(self) -> list[str]:
        """Return the commands of `sam` and `docker`, without those that only query."""
        asked = [f"{n['program']} {n['arguments'][0]}" for n in self.notes]
        return [each for each in asked if each != "docker info"][1:]  # docker buildx version

    def parameters(self, which: int) -> dict[str, str]:
        deploys = [n["arguments"] for n in self.notes if n["arguments"][0] == "deploy"]
        pairs = deploys[which][deploys[which].index("--parameter-overrides") + 1 :]
        return {name: value.strip('"') for name, value in (p.split("=", 1) for p in pairs)}

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.aws,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def secret(self) -> Mapping[str, str]:
        stored = self.client("secretsmanager").get_secret_value(SecretId=f"{self.stack}-keys")
        keys: Mapping[str, str] = json.loads(stored["SecretString"])
        return keys
