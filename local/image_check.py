"""Runs the media container's image as ECS runs it, makes a call through it, and measures it against
its budgets: `make image-check`.

The container is read-only and without capabilities, and runs as its own user. It gets its
credentials from an address, as a task does from ECS, and its keys from Secrets Manager (moto). It
gets SIGTERM when it is idle, while it starts, and in the middle of the call.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from aws.dynamodb import dynamodb
from aws.stack import free_port
from container_image.engine import Engine, EngineFailed
from container_image.measurement import Measurement
from container_image.task_environment import TaskEnvironment, task_environment
from container_image.whole_call import call_through

MAX_LAYERS_MB = 60.0
"""Maximum compressed size of our own layers."""
MAX_START_SECONDS = 2.0
STARTS = 3
"""The fastest start counts, because other programs can only add time."""
MAX_IDLE_RSS_MB = 90.0
MAX_STOP_SECONDS = 2.0


def measure(
    engine: Engine, environment: TaskEnvironment, makes_call: bool
) -> Iterator[Measurement]:
    yield Measurement("own layers, compressed", engine.layers_mb(), MAX_LAYERS_MB, "MB")
    start_seconds = min(_start_seconds(engine, environment) for _ in range(STARTS))
    yield Measurement("start to /healthz", start_seconds, MAX_START_SECONDS, "s")
    yield from _idle(engine, environment)
    yield _starting(engine, environment)
    if makes_call:
        yield from asyncio.run(call_through(engine, environment))


def _start_seconds(engine: Engine, environment: TaskEnvironment) -> float:
    port = free_port()
    with engine.running(environment.variables, port) as container:
        engine.wait_until_healthy(port)
        return (datetime.now(UTC) - engine.started_at(container)).total_seconds()


def _idle(engine: Engine, environment: TaskEnvironment) -> Iterator[Measurement]:
    port = free_port()
    with engine.running(environment.variables, port) as container:
        engine.wait_until_healthy(port)
        yield Measurement("memory, idle", engine.rss_mb(container), MAX_IDLE_RSS_MB, "MB")
        yield Measurement("SIGTERM, idle", engine.stop(container), MAX_STOP_SECONDS, "s")


def _starting(engine: Engine, environment: TaskEnvironment) -> Measurement:
    with engine.running(environment.variables, free_port()) as container:
        engine.wait_until_signals_are_handled(container)
        seconds = engine.stop(container)
    return Measurement("SIGTERM, during start-up", seconds, MAX_STOP_SECONDS, "s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make image-check", description=__doc__)
    parser.add_argument("--engine", default="docker", choices=["docker", "podman"])
    parser.add_argument("--image", required=True)
    parser.add_argument("--engine-argument", action="append", default=[], help="before `run`")
    parser.add_argument("--run-argument", action="append", default=[], help="after `run`")
    parser.add_argument("--no-call", action="store_true", help="save a minute")
    options = parser.parse_args()
    command = (options.engine, *options.engine_argument)
    engine = Engine(command, options.image, tuple(options.run_argument))
    with dynamodb() as aws, task_environment(aws) as environment:
        try:
            is_within = _report(measure(engine, environment, not options.no_call))
        except (EngineFailed, subprocess.SubprocessError) as error:
            sys.exit(f"image-check: {error}")
    sys.exit(0 if is_within else 1)


def _report(measurements: Iterable[Measurement]) -> bool:
    """Print each figure as it comes. Return whether all are within their budgets."""
    is_within = True
    for each in measurements:
        print(each, flush=True)
        is_within &= each.is_within
    return is_within


if __name__ == "__main__":
    main()
