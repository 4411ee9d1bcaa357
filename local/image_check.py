"""Runs the media container's image as ECS runs it, and measures it against its budgets: `make
image-check`.

Read-only, without capabilities, as its own user, with keys from Secrets Manager (moto). It ends the
container by SIGTERM, once when it is idle and once while it starts.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx

from aws.dynamodb import dynamodb
from aws.stack import free_port

MAX_LAYERS_MB = 60.0
"""Maximum compressed size of our own layers."""
MAX_START_SECONDS = 2.0
MAX_IDLE_RSS_MB = 90.0
MAX_STOP_SECONDS = 2.0
TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.02
KEYS = {"OPENAI_API_KEY": "sk-x", "TELNYX_API_KEY": "KEY-x", "STREAM_TOKEN_SECRET": "secret"}


@dataclass(frozen=True, slots=True)
class Measurement:
    what: str
    value: float
    budget: float
    unit: str

    @property
    def is_within(self) -> bool:
        return self.value <= self.budget

    def __str__(self) -> str:
        verdict = "ok  " if self.is_within else "OVER"
        return f"{verdict}  {self.what:<40} {self.value:8.2f} {self.unit} (≤ {self.budget:g})"


@dataclass(frozen=True, slots=True)
class Image:
    engine: tuple[str, ...]
    """The command of the engine, with its global options."""
    name: str
    run_arguments: tuple[str, ...]
    aws: str
    secret_arn: str

    def layers_mb(self) -> float:
        tar = ("tar", "-cz", "-C", "/", "packages", "app")
        command = [
            *self.engine,
            "run",
            "--rm",
            *self.run_arguments,
            "--network=host",
            self.name,
            *tar,
        ]
        return len(subprocess.run(command, check=True, capture_output=True).stdout) / 1e6

    @contextmanager
    def running(self, port: int) -> Iterator[str]:
        """The id of a container."""
        environ = {
            "AWS_ENDPOINT_URL": self.aws,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "CALLS_TABLE": "calls",
            "PROVIDER_SECRET_ARN": self.secret_arn,
        }
        command = [
            *(*self.engine, "run", "--detach", "--read-only", "--cap-drop=all", "--network=host"),
            *("--security-opt=no-new-privileges", *self.run_arguments),
            *(f"--env={name}={value}" for name, value in environ.items()),
            *(self.name, "python", "-m", "media_bridge", "--host=127.0.0.1", f"--port={port}"),
        ]
        container = self._output(command)
        try:
            yield container
        finally:
            subprocess.run(
                [*self.engine, "rm", "--force", container], capture_output=True, check=True
            )

    def rss_mb(self, container: str) -> float:
        pid = self._output([*self.engine, "inspect", "--format={{.State.Pid}}", container])
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("The kernel does not tell the memory of the container.")

    def stop_seconds(self, container: str) -> float:
        """Raises if it does not exit with 0."""
        started = time.monotonic()
        subprocess.run(
            [*self.engine, "kill", "--signal=TERM", container], check=True, capture_output=True
        )
        code = self._output([*self.engine, "wait", container])
        if code != "0":
            raise RuntimeError(f"The container ended with exit code {code}.")
        return time.monotonic() - started

    def _output(self, command: list[str]) -> str:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        return done.stdout.strip()


def measure(image: Image) -> Iterator[Measurement]:
    yield Measurement("own layers, compressed", image.layers_mb(), MAX_LAYERS_MB, "MB")
    port = free_port()
    started = time.monotonic()
    with image.running(port) as container:
        _wait_until_healthy(f"http://127.0.0.1:{port}/healthz")
        start_seconds = time.monotonic() - started
        yield Measurement("start to /healthz", start_seconds, MAX_START_SECONDS, "s")
        yield Measurement("memory, idle", image.rss_mb(container), MAX_IDLE_RSS_MB, "MB")
        yield Measurement("SIGTERM, idle", image.stop_seconds(container), MAX_STOP_SECONDS, "s")
    with image.running(free_port()) as container:
        seconds = image.stop_seconds(container)
        yield Measurement("SIGTERM, during start-up", seconds, MAX_STOP_SECONDS, "s")


def _wait_until_healthy(url: str) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(url, headers={"User-Agent": "ELB-HealthChecker/2.0"}).is_success:
                return
        except httpx.TransportError:
            time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{url} did not answer within {TIMEOUT_SECONDS:g} s.")


def _store_keys(aws: str) -> str:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=aws,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    return str(client.create_secret(Name="keys", SecretString=json.dumps(KEYS))["ARN"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make image-check", description=__doc__)
    parser.add_argument("--engine", default="docker", choices=["docker", "podman"])
    parser.add_argument("--image", required=True)
    parser.add_argument("--engine-argument", action="append", default=[], help="before `run`")
    parser.add_argument("--run-argument", action="append", default=[], help="after `run`")
    options = parser.parse_args()
    with dynamodb() as aws:
        arguments = tuple(options.run_argument)
        engine = (options.engine, *options.engine_argument)
        image = Image(engine, options.image, arguments, aws, _store_keys(aws))
        try:
            is_within = _report(image)
        except subprocess.CalledProcessError as error:
            sys.exit(f"image-check: `{' '.join(error.cmd[:2])} …` failed: {error.stderr}")
    sys.exit(0 if is_within else 1)


def _report(image: Image) -> bool:
    measurements = []
    for each in measure(image):
        print(each, flush=True)
        measurements.append(each)
    return all(each.is_within for each in measurements)


if __name__ == "__main__":
    main()
