"""The whole system on port 3000 of this machine, until Ctrl-C: `make dev`.

Each provider is a simulator until its settings are given, in the environment or in `.env`.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from aws.stack import LocalStack, Plan, running
from simulators.scenario import ECHO, SCENARIOS

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"
TIMEOUT_MS = 10 * 60 * 1000
"""How long a simulated person with more to say waits for an agent that is silent, muted for one:
time enough to try the API. With nothing more to say, they stay until somebody hangs up."""


def load_settings() -> Mapping[str, str]:
    """The environment wins over `.env`. What `.env` leaves empty is a form not filled in; an empty
    variable of the environment was meant."""
    from_file = {name: value for name, value in dotenv_values(ENV_FILE).items() if value}
    return from_file | dict(os.environ)


def _show(side: str, event: str, detail: str) -> None:
    print(f"  [{side} simulator] {event}: {detail}", flush=True)


def _welcome(stack: LocalStack) -> str:
    telnyx = stack.environ.get("TELNYX_API_BASE", "api.telnyx.com")
    model = stack.environ.get("OPENAI_REALTIME_URL", "api.openai.com")
    lines = [
        f"Phonebridge on {stack.url} (loopback only; Ctrl-C ends it)",
        f"  phone: {'simulated' if stack.telnyx else telnyx}",
        f"  model: {'simulated' if stack.openai else model}",
    ]
    if not (stack.telnyx and stack.openai):
        lines.append("  whether real services would carry a call: make doctor")
    if not stack.environ.get("TELNYX_PUBLIC_KEY"):
        lines.append("  TELNYX_PUBLIC_KEY is not set: webhooks cannot be verified and get a 503")
    lines += [
        "Try:",
        f"  curl -X POST {stack.url}/api/ai-calls/create -H 'Content-Type: application/json' \\",
        """    -d '{"to": "+15550123", "instructions": "You are a friendly receptionist."}'""",
        f"  curl {stack.url}/api/ai-calls/status",
    ]
    return "\n".join(lines)


async def serve(plan: Plan) -> None:
    stopped = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    async with running(plan, load_settings(), _show) as stack:
        print(_welcome(stack), flush=True)
        await stopped.wait()
        print("ending the calls", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default=ECHO.name)
    options = parser.parse_args()
    scenario = SCENARIOS[options.scenario]
    asyncio.run(serve(Plan(options.port, scenario, hangs_up=False, silence_timeout_ms=TIMEOUT_MS)))


if __name__ == "__main__":
    main()
