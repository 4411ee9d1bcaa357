"""Runs the simulated OpenAI Realtime server: `python -m simulators.openai --port 9400`."""

import argparse
import asyncio
import signal
from dataclasses import fields
from typing import Any

from simulators.openai.faults import ModelFaults
from simulators.openai.server import OpenAISimulator
from simulators.openai.session import ModelSimulatorEvent
from simulators.scenario import ECHO, SCENARIOS


def main() -> None:
    arguments = _arguments()
    asyncio.run(_serve_until_stopped(arguments))


async def _serve_until_stopped(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
    simulator = OpenAISimulator(
        scenario=SCENARIOS[arguments.scenario],
        burst=arguments.burst,
        think_ms=arguments.think_ms,
        connect_ms=arguments.connect_ms,
        faults=ModelFaults(**dict(arguments.fault)),
        on_event=_print_event,
        host=arguments.host,
        port=arguments.port,
    )
    async with simulator:
        print(simulator.url, flush=True)
        await stopped.wait()


def _print_event(event: ModelSimulatorEvent) -> None:
    print(event.session_id, event.name, event.detail, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.openai", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9400)
    parser.add_argument("--scenario", choices=SCENARIOS, default=ECHO.name)
    parser.add_argument(
        "--burst",
        type=float,
        default=10.0,
        help="how much faster than real time audio is generated",
    )
    parser.add_argument("--think-ms", type=int, default=300)
    parser.add_argument("--connect-ms", type=int, default=0)
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="NAME[=NUMBER]",
        help=", ".join(field.name for field in fields(ModelFaults)),
    )
    return parser.parse_args()


def _fault(text: str) -> tuple[str, Any]:
    name, _, number = text.partition("=")
    if name not in {field.name for field in fields(ModelFaults)}:
        raise argparse.ArgumentTypeError(f"unknown fault {name!r}")
    return name, int(number) if number else True


if __name__ == "__main__":
    main()
