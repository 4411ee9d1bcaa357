"""Runs the Telnyx simulator: `python -m simulators.telnyx`."""

import argparse
import asyncio
import signal
from typing import get_args

from simulators.scenario import ECHO, SCENARIOS
from simulators.telnyx.behaviour import CarrierFaults, Person, StopNews
from simulators.telnyx.server import CarrierSimulatorEvent, TelnyxSimulator
from simulators.telnyx.undocumented import SecondStream, Undocumented


def _print_event(event: CarrierSimulatorEvent) -> None:
    print(f"{event.call_control_id[:10]}  {event.name:<16} {event.detail}", flush=True)


async def _serve(arguments: argparse.Namespace) -> None:
    person = Person(SCENARIOS[arguments.scenario], hangs_up=not arguments.stay)
    faults = CarrierFaults(
        reset_after_ms=arguments.reset_after_ms,
        half_open_after_ms=arguments.half_open_after_ms,
        stop_news=arguments.stop_news,
        undocumented=Undocumented(second_stream=arguments.second_stream),
    )
    stopped = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    async with TelnyxSimulator(
        person=person,
        faults=faults,
        webhook_url=arguments.webhook_url,
        host=arguments.host,
        port=arguments.port,
        latency_ms=arguments.latency_ms,
        webhook_delay_ms=arguments.webhook_delay_ms,
        on_event=_print_event,
    ) as simulator:
        print(f"Telnyx simulator at {simulator.api_base}")
        print(f"TELNYX_PUBLIC_KEY={simulator.public_key}", flush=True)
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulators.telnyx", description="A Telnyx simulator.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9500)
    parser.add_argument("--webhook-url", default="http://localhost:3000/webhooks/telnyx")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default=ECHO.name)
    parser.add_argument("--latency-ms", type=int, default=0, help="delay of each response")
    parser.add_argument("--webhook-delay-ms", type=int, default=0)
    parser.add_argument("--reset-after-ms", type=int, help="reset the first socket of each call")
    parser.add_argument("--half-open-after-ms", type=int, help="or let it become half-open")
    parser.add_argument("--stop-news", choices=get_args(StopNews), default="sent")
    parser.add_argument("--second-stream", choices=get_args(SecondStream), default="refused")
    parser.add_argument("--stay", action="store_true", help="the person never hangs up")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
