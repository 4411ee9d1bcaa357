"""Measures how soon after a request a live call obeys it: `make bench-steering`. It prints the
table and writes it into docs/steering.md.

Everything runs on this machine, as in `make dev`: gateway, handlers, table, container and both
simulators. The effect is observed on the other side, at the carrier or at the model's socket.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx

from aws.stack import Plan, free_port, log_handlers_to, running
from benchmarks.page_section import DOCS, PageSection, percentile_95
from simulators.audio.speech import CLIPS
from simulators.openai.session import SimulatedSession
from simulators.scenario import SHORT
from simulators.telnyx.call import SimulatedCall

SECTION = PageSection(DOCS / "steering.md", "steering")
LOG = Path(__file__).resolve().parents[2] / ".build" / "steering.log"
ROUNDS = 40
MAX_MS = 200
"""Limit for the median of each action."""
LOOK_SECONDS = 0.001
TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.25
"""Requests are spread over this interval, so that they do not fall into step with the mailbox
poll."""
SILENT = "+15550121"
LONG = {"text": CLIPS["agent_free_times"].text}

EFFECTS: Mapping[str, str] = {
    "say": "`response.create` at the model",
    "interrupt": "`clear` at the carrier",
    "mute": "`clear` at the carrier",
    "update": "`session.update` at the model",
    "dtmf": "`send_dtmf` at the carrier",
}


@dataclass(frozen=True, slots=True)
class Bench:
    api: httpx.AsyncClient
    phone: SimulatedCall
    session: SimulatedSession
    call_id: str
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    async def post(self, action: str, body: Mapping[str, object]) -> None:
        answer = await self.api.post(f"/api/ai-calls/{self.call_id}/{action}", json=body)
        assert answer.status_code == 202, answer.text

    async def effect_ms(
        self, action: str, body: Mapping[str, object], seen: Callable[[], int]
    ) -> float:
        """Milliseconds from the request to its effect. The effect may come before the response."""
        await asyncio.sleep(self.chance.uniform(0, POLL_SECONDS))
        before, began = seen(), time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.post(action, body))
            await until(lambda: seen() > before)
            return (time.perf_counter() - began) * 1000

    def frames(self) -> int:
        return self.phone.media.frames_in

    def clears(self) -> int:
        return self.phone.media.clears

    def digits(self) -> int:
        return sum(command.name == "send_dtmf" for command in self.phone.commands)

    def responses(self) -> int:
        return self._count_sent("response.create")

    def updates(self) -> int:
        return self._count_sent("session.update")

    def _count_sent(self, kind: str) -> int:
        return sum(frame["type"] == kind for frame in self.session.received)


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not look():  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def prepared_bench() -> AsyncIterator[Bench]:
    """Start the stack and a call on which no one speaks."""
    LOG.parent.mkdir(exist_ok=True)
    plan = Plan(free_port(), SHORT, hangs_up=False, silence_timeout_ms=600_000, log=LOG)
    async with (
        running(plan, {}, lambda *_: None) as stack,
        httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=30) as api,
    ):
        assert stack.telnyx is not None
        assert stack.openai is not None
        log_handlers_to(LOG)
        created = await api.post("/api/ai-calls/create", json={"to": SILENT})
        call_id = created.raise_for_status().json()["call_id"]
        phone = stack.telnyx.calls[-1]
        await until(lambda: phone.conversation.recognitions)
        yield Bench(api, phone, stack.openai.sessions[-1], call_id)
        await api.post(f"/api/ai-calls/{call_id}/hangup")
        await phone.ended.wait()


async def measure(rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {action: [] for action in EFFECTS}
    async with prepared_bench() as bench:
        for number in range(rounds):
            for action in EFFECTS:
                found[action].append(await _once(bench, action, number))
    return found


async def _once(bench: Bench, action: str, number: int) -> float:
    match action:
        case "say":
            effect_ms = await bench.effect_ms("say", LONG, bench.responses)
            frames_before = bench.frames()
            await until(lambda: bench.frames() > frames_before)
            return effect_ms
        case "interrupt":
            return await bench.effect_ms("interrupt", {}, bench.clears)
        case "mute":
            await _once(bench, "say", number)
            effect_ms = await bench.effect_ms("mute", {}, bench.clears)
            await bench.post("unmute", {})
            return effect_ms
        case "update":
            return await bench.effect_ms(
                "update", {"instructions": f"Be brief: {number}."}, bench.updates
            )
        case _:
            return await bench.effect_ms("dtmf", {"digits": "1"}, bench.digits)


HEAD = """\
| request | effect | p50 | p95 | maximum |
|---|---|--:|--:|--:|
"""


def _row(action: str, effect_ms: list[float]) -> str:
    shown = (median(effect_ms), percentile_95(effect_ms), max(effect_ms))
    figures = " | ".join(f"{each:.0f} ms" for each in shown)
    return f"| `{action}` | {EFFECTS[action]} | {figures} |"


def table(found: Mapping[str, list[float]]) -> str:
    return HEAD + "".join(f"{_row(action, effect_ms)}\n" for action, effect_ms in found.items())


def too_slow(found: Mapping[str, list[float]]) -> list[str]:
    return [action for action, effect_ms in found.items() if median(effect_ms) > MAX_MS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds))
    print(table(found), end="")
    SECTION.write(table(found))
    if slow := too_slow(found):
        sys.exit(f"more than half of the requests took longer than {MAX_MS} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main()
