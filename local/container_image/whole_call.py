"""The call of `make demo`, through the image. The container gets SIGTERM in the middle of it."""

import asyncio
import time
from typing import Any

import httpx

import demo
from aws.stack import LocalStack, log_handlers_to, running
from container_image.engine import Engine, EngineFailed
from container_image.measurement import Measurement
from container_image.task_environment import TaskEnvironment

NAME = "phonebridge-image-check"
LINES_BEFORE_SIGTERM = 2
MAX_WORD_SECONDS = 3.0
"""The time from the answer to the agent's first word."""
MAX_END_SECONDS = 5.0
"""The time from the end of the call to the end of the container."""
EXECUTE = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
"""The local stack starts Python programs. This one becomes the engine."""


class _Quiet(demo.Printer):
    def line(self, label: str, text: str) -> None:
        """Print nothing."""


async def call_through(engine: Engine, environment: TaskEnvironment) -> list[Measurement]:
    options = ("--rm", f"--name={NAME}", *(f"--env={name}" for name in environment.names))
    plan = demo.plan_call(container=("-c", EXECUTE, *engine.run_command(*options)))
    moment = demo.Moment(_Quiet(), LINES_BEFORE_SIGTERM)
    given = environment.variables | {
        "STREAM_TOKEN_SECRET": environment.secret["STREAM_TOKEN_SECRET"]
    }
    del given["CALLS_TABLE"], given["AWS_ENDPOINT_URL_DYNAMODB"]  # the stack has its own
    async with running(plan, given, moment) as stack, asyncio.TaskGroup() as tasks:
        log_handlers_to(demo.LOG)
        stopping = tasks.create_task(_terminate(engine, moment))
        record = await _record(stack)
        wrong = demo.differences_of(record, stack, plan)
        was_terminated = stopping.done()
        stopping.cancel()
        end_seconds = await _wait_for_end(stack) if was_terminated else 0.0
    if not was_terminated:
        wrong.append("the call was over before SIGTERM was due")
    if wrong:
        raise EngineFailed("; ".join(wrong))
    return [
        Measurement(
            "a whole call, first word",
            record["activity"]["first_audio_ms"] / 1000,
            MAX_WORD_SECONDS,
            "s",
        ),
        Measurement("SIGTERM in the call, then its end", end_seconds, MAX_END_SECONDS, "s"),
    ]


async def _wait_for_end(stack: LocalStack) -> float:
    """Return the seconds until the container has ended, in order."""
    began = time.monotonic()
    code = await stack.containers[0].process.wait()
    if code:
        raise EngineFailed(f"the container ended with exit code {code}")
    return time.monotonic() - began


async def _terminate(engine: Engine, moment: demo.Moment) -> None:
    await moment.came.wait()
    await asyncio.to_thread(engine.terminate, NAME)


async def _record(stack: LocalStack) -> dict[str, Any]:
    async with httpx.AsyncClient(
        base_url=stack.url, trust_env=False, timeout=demo.MAX_CALL_SECONDS
    ) as api:
        return await demo.place_and_follow(api, _Quiet())
