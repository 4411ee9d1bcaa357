"""Runs the whole system on port 3000 of this machine until Ctrl-C: `make dev`.

Each provider is a simulator until its settings are given, in the environment or in `.env`.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from dotenv import dotenv_values

from aws.stack import LocalStack, Plan, log_handlers_to, running
from follow import CallFollower, follow_log, print_with_time
from real_phone import missing_for_real_phone
from simulators.scenario import ECHO, SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = ROOT / ".env"
BUILD = ROOT / ".build"
TIMEOUT_MS = 2 * 60 * 1000
"""How long a simulated person waits for a silent agent, for example a muted one."""
LINGERS_MS = 60 * 1000
"""How long the person stays after the last reply. It is long enough to try the API on the call."""
MAX_CALL_MS = 10 * 60 * 1000
"""When the person hangs up at the latest. With a real model, each minute of a call costs money."""
API_SECONDS = 30.0


def load_settings() -> Mapping[str, str]:
    """Return the settings; the environment wins over `.env`. An empty value in `.env` counts as
    missing, an empty variable of the environment does not."""
    from_file = {name: value for name, value in dotenv_values(ENV_FILE).items() if value}
    return from_file | dict(os.environ)


def welcome(stack: LocalStack, given: Mapping[str, str], plan: Plan) -> str:
    lines = [
        f"Phonebridge API on {stack.url} (this machine only; Ctrl-C stops it)",
        f"  page   {stack.url}/ (talk to an agent in the browser)",
        f"  phone  {_phone(stack)}",
        *_needs_of_real_phone(given),
        f"  model  {_model(stack)}",
        f"  log    {_shorten(plan.log)}",
        f"  kept   {_shorten(plan.state)} (agents, numbers, records; `make dev ARGS=--fresh`)",
        "Try:",
        f"  curl -X POST {stack.url}/api/ai-calls/create -H 'Content-Type: application/json' \\",
        """    -d '{"to": "+15550123", "greeting": "Hello, this is my first agent."}'""",
        f"  curl {stack.url}/api/ai-calls/status",
        *(
            ["  make ring TO=+15550100    (once an agent answers that number)"]
            if stack.telnyx
            else []
        ),
    ]
    return "\n".join(lines)


def _phone(stack: LocalStack) -> str:
    return "simulated" if stack.telnyx else stack.environ.get("TELNYX_API_BASE", "api.telnyx.com")


def _needs_of_real_phone(given: Mapping[str, str]) -> list[str]:
    """Return the lines of the banner about a real phone."""
    missing = missing_for_real_phone(given)
    if not missing:
        return ["         `make doctor` checks whether it would carry a call"]
    lines = ["         missing for a real phone:"]
    return lines + [f"           {name}" for name in missing]


def _model(stack: LocalStack) -> str:
    if stack.openai:
        return "simulated: it says your texts and repeats what it hears (real: set OPENAI_API_KEY)"
    if not stack.environ.get("OPENAI_API_KEY"):
        return "none: OPENAI_API_KEY is empty, so calls get a 503"
    return stack.environ.get("OPENAI_REALTIME_URL", "api.openai.com")


def _shorten(path: Path | None) -> str:
    assert path is not None
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _logger(path: Path) -> Callable[[str, str, str], None]:
    """Return a function that writes the simulators' events to the log."""

    def write(side: str, event: str, detail: str) -> None:
        entry = {"level": "INFO", "message": f"{side} simulator: {event}", "detail": detail}
        with path.open("a") as log:
            log.write(json.dumps(entry) + "\n")

    return write


async def serve(plan: Plan) -> None:
    stopped = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    assert plan.log is not None
    given = load_settings()
    async with running(plan, given, _logger(plan.log)) as stack:
        log_handlers_to(plan.log)
        print(welcome(stack, given, plan), flush=True)
        await _follow_until(stopped, stack.url, plan.log)
        print("ending the calls", flush=True)


async def _follow_until(stopped: asyncio.Event, url: str, log: Path) -> None:
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=API_SECONDS) as api,
        asyncio.TaskGroup() as tasks,
    ):
        following = [
            tasks.create_task(CallFollower(api, print_with_time).follow_all()),
            tasks.create_task(follow_log(log, print_with_time)),
        ]
        await stopped.wait()
        for each in following:
            each.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make dev", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default=ECHO.name)
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs kept")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder of the log and the state")
    options = parser.parse_args()
    state = options.build / "dev-state"
    if options.fresh:
        shutil.rmtree(state, ignore_errors=True)
    plan = Plan(
        options.port,
        SCENARIOS[options.scenario],
        hangs_up=True,
        silence_timeout_ms=TIMEOUT_MS,
        log=options.build / "dev.log",
        lingers_ms=LINGERS_MS,
        max_call_ms=MAX_CALL_MS,
        state=state,
    )
    asyncio.run(serve(plan))


if __name__ == "__main__":
    main()
