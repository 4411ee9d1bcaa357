"""Measures for each `stream_setup` how soon after the answer the caller hears the first word: `make
bench-first-words`. It prints the table and writes it into docs/first-words.md.

Everything runs on this machine. Delays of real services are simulated: Telnyx's API and webhooks,
the connection to the model, and the model's first audio.
"""

import argparse
import asyncio
import importlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from aws.stack import Plan, free_port, running
from benchmarks.page_section import DOCS, PageSection
from simulators.audio.speech import CLIPS
from simulators.openai.server import OpenAISimulator
from simulators.scenario import Scenario
from simulators.telnyx.behaviour import Person
from simulators.telnyx.call import SimulatedCall
from simulators.telnyx.server import TelnyxSimulator

SECTION = PageSection(DOCS / "first-words.md", "first words")
LOG = Path(__file__).resolve().parents[2] / ".build" / "first_words.log"
TELNYX_API_MS, WEBHOOK_MS, MODEL_CONNECT_MS, FIRST_AUDIO_MS = 80, 60, 350, 450
RINGS_MS = 2_000
MAX_AFTER_START_MS = 60
"""Limit of `after_start` for a prepared greeting."""
CALLS = 5
LISTENS_SECONDS = RINGS_MS / 1000 + 3.0
"""Seconds from the dial to the hangup: long enough for the slowest greeting, and for caching
one."""
CALLEE, CALLER, OUR_NUMBER = "+15550123", "+15550142", "+15550100"
GREETING = CLIPS["agent_greeting"].text
LISTENER = Scenario("listener", "agent_greeting", caller=(), replies={}, fallback="agent_fallback")


@dataclass(frozen=True, slots=True)
class FirstWords:
    """Times of one call in milliseconds.

    `start` runs from the answer to `start` on the media socket, and `after_start` from there to the
    first media message. `heard` runs from the answer to the first sound on the caller's own clock.
    """

    start: float
    after_start: float
    heard: float


@dataclass(frozen=True, slots=True)
class Bench:
    api: httpx.AsyncClient
    telnyx: TelnyxSimulator

    async def dial(self, **settings: object) -> SimulatedCall:
        answer = await self.api.post("/api/ai-calls/create", json={"to": CALLEE, **settings})
        answer.raise_for_status()
        return self.telnyx.calls[-1]

    async def ring(self) -> SimulatedCall:
        return await self.telnyx.ring(to=OUR_NUMBER, from_=CALLER)

    async def greeted_by(self, agent: dict[str, object]) -> None:
        (await self.api.put("/api/agents/greeter", json=agent)).raise_for_status()
        number = await self.api.put(f"/api/numbers/{OUR_NUMBER}", json={"agent": "greeter"})
        number.raise_for_status()


async def first_words(phone: SimulatedCall) -> FirstWords:
    await asyncio.sleep(LISTENS_SECONDS)
    phone.hang_up()
    await phone.ended.wait()
    heard = phone.conversation.first_audio_ms
    answered, started, first = phone.answered_s, phone.media.started_s, phone.media.first_media_s
    assert answered is not None
    assert started is not None
    assert first is not None
    assert heard is not None
    return FirstWords(
        start=(started - answered) * 1000,
        after_start=(first - started) * 1000,
        heard=heard,
    )


Case = Callable[[Bench, int], Awaitable[SimulatedCall]]


async def on_answer(bench: Bench, number: int) -> SimulatedCall:
    return await bench.dial(greeting=GREETING)


async def with_dial(bench: Bench, number: int) -> SimulatedCall:
    return await bench.dial(greeting=GREETING, stream_setup="with_dial")


async def dial_prepared(bench: Bench, number: int) -> SimulatedCall:
    # Every greeting is different, and the simulated model does not speak the number. So no greeting
    # is ever cached.
    greeting = f"{GREETING} {number}"
    return await bench.dial(greeting=greeting, stream_setup="prepared")


async def dial_kept(bench: Bench, number: int) -> SimulatedCall:
    return await bench.dial(greeting=GREETING, stream_setup="prepared")


async def inbound(bench: Bench, number: int) -> SimulatedCall:
    await bench.greeted_by({"greeting": GREETING})
    return await bench.ring()


async def inbound_kept(bench: Bench, number: int) -> SimulatedCall:
    await bench.greeted_by({"greeting": GREETING, "stream_setup": "prepared"})
    return await bench.ring()


CASES: dict[str, Case] = {
    "`on_answer`": on_answer,
    "`with_dial`": with_dial,
    "`prepared`, generated while the phone rings": dial_prepared,
    "`prepared`, cached by an earlier call": dial_kept,
    "inbound, `on_answer`": inbound,
    "inbound, `prepared`, cached": inbound_kept,
}


@asynccontextmanager
async def prepared_bench() -> AsyncIterator[Bench]:
    port = free_port()
    telnyx = TelnyxSimulator(
        person=Person(LISTENER, answers_after_ms=RINGS_MS, hangs_up=False),
        webhook_url=f"http://127.0.0.1:{port}/webhooks/telnyx",
        latency_ms=TELNYX_API_MS,
        webhook_delay_ms=WEBHOOK_MS,
    )
    model = OpenAISimulator(scenario=LISTENER, connect_ms=MODEL_CONNECT_MS, think_ms=FIRST_AUDIO_MS)
    LOG.parent.mkdir(exist_ok=True)
    plan = Plan(port, LISTENER, hangs_up=False, silence_timeout_ms=60_000, log=LOG)
    async with telnyx, model:
        given = {
            "OPENAI_REALTIME_URL": model.url,
            "OPENAI_API_KEY": "sk-local",
            "TELNYX_API_BASE": telnyx.api_base,
            "TELNYX_API_KEY": "KEY-local",
            "TELNYX_PUBLIC_KEY": telnyx.public_key,
        }
        async with (
            running(plan, given, lambda *_: None) as stack,
            httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as api,
        ):
            _log_handlers_to(LOG)
            yield Bench(api, telnyx)


def _log_handlers_to(path: Path) -> None:
    importlib.import_module("control_plane.services")
    for handler in logging.getLogger("control-plane").handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(path.open("a"))


async def measure(calls: int) -> dict[str, list[FirstWords]]:
    found: dict[str, list[FirstWords]] = {}
    async with prepared_bench() as bench:
        for name, case in CASES.items():
            # The first call of each case warms up and fills the greeting cache.
            measured = [await first_words(await case(bench, number)) for number in range(calls + 1)]
            found[name] = measured[1:]
            print(_row(name, found[name]), flush=True)
    return found


HEAD = """\
| setting | answer → `start` | `start` → first media, median | maximum | answer → first sound |
|---|--:|--:|--:|--:|
"""


def _row(name: str, measured: list[FirstWords]) -> str:
    start, after_start, heard = (
        median(getattr(each, field) for each in measured)
        for field in ("start", "after_start", "heard")
    )
    limit = max(each.after_start for each in measured)
    return f"| {name} | {start:.0f} ms | {after_start:.0f} ms | {limit:.0f} ms | {heard:.0f} ms |"


def table(found: dict[str, list[FirstWords]]) -> str:
    return HEAD + "\n".join(_row(name, measured) for name, measured in found.items()) + "\n"


def too_slow(found: dict[str, list[FirstWords]]) -> list[str]:
    """The cases with prepared greetings that exceed the limit."""
    return [
        name
        for name, measured in found.items()
        if "prepared" in name and median(each.after_start for each in measured) > MAX_AFTER_START_MS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help="calls per case")
    options = parser.parse_args()
    print(HEAD, end="")
    found = asyncio.run(measure(options.calls))
    SECTION.write(table(found))
    if slow := too_slow(found):
        sys.exit(f"more than {MAX_AFTER_START_MS} ms after `start`: {', '.join(slow)}")


if __name__ == "__main__":
    main()
