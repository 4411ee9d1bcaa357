"""`make soak`: a media container at capacity for half an hour, whose calls lose their sockets at
random. It fails if memory grows, if files stay open, or if a record is wrong.

The container is the real process, with a local DynamoDB. ARGS="--minutes 3" makes a short run,
whose figures are not stored.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import uvloop

from aws.stack import free_port
from benchmarks.media.container import OURS, Database, database, running
from benchmarks.media.results import machine, now
from benchmarks.soak import figures
from benchmarks.soak.carrier import Leg, SoakCarrier, soak_carrier
from benchmarks.soak.far_ends import Counts, Person, Rates, model
from benchmarks.soak.figures import Sample, Soak
from phonebridge import stream_token
from phonebridge.call.call import Call, CallStatus, Direction
from phonebridge.call.call import Leg as CallLeg
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallRequested, DialAccepted
from phonebridge.call.lifecycle import advance
from phonebridge.storage.call_store import CallRecord

MINUTES = 30.0
SLOTS = 40
CALL_SECONDS = (20.0, 90.0)
SAMPLE_SECONDS = 60.0
MIN_SAMPLES = 12
END_SECONDS = 30.0
"""Longer than the last writes of a call."""
FAULTS_ALLOWED = frozenset({"model_lost"})
"""A call may lose its session more often than it may be replaced."""


@dataclass(slots=True)
class Soaking:
    database: Database
    carrier: SoakCarrier
    media_url: str
    pid: int
    rates: Rates = field(default_factory=Rates)
    counts: Counts = field(default_factory=Counts)
    chance: Random = field(default_factory=lambda: Random(1))
    call_ids: list[str] = field(default_factory=list)

    async def keep_slot_busy(self, ends_at: float) -> None:
        """One call after the other."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.chance.uniform(0, 5))
        while (left := ends_at - loop.time()) > CALL_SECONDS[0]:
            seconds = min(left, self.chance.uniform(*CALL_SECONDS))
            await self._call(seconds)

    async def _call(self, seconds: float) -> None:
        call_id = secrets.token_hex(16)
        leg = self.carrier.new_leg(f"v3:{call_id}")
        await asyncio.to_thread(self.database.store.create, _answered(call_id, leg), CallConfig())
        self.call_ids.append(call_id)
        self.counts.calls += 1
        token = stream_token.issue(self.database.secret, call_id, 1, _now_ms())
        leg.streams.put_nowait((f"{self.media_url}/media-bridge/{call_id}/1", token))
        await Person(leg, seconds, self.chance, self.counts).talk(self.rates, call_id)

    def sample(self, minute: float) -> Sample:
        process = Path(f"/proc/{self.pid}")
        pages = int((process / "statm").read_text().split()[1])
        return Sample(
            minute=round(minute, 2),
            rss_mb=round(pages * 4096 / 2**20, 1),
            open_files=len(list((process / "fd").iterdir())),
            threads=len(list((process / "task").iterdir())),
            calls=self.counts.calls,
        )

    async def measure(self, seconds: float) -> list[Sample]:
        began, samples = time.monotonic(), list[Sample]()
        count = max(MIN_SAMPLES, round(seconds / SAMPLE_SECONDS))
        for number in range(1, count + 1):
            await asyncio.sleep(began + number * seconds / count - time.monotonic())
            samples.append(self.sample((time.monotonic() - began) / 60))
            print(_line(samples[-1]), flush=True)
        return samples

    async def wrong_records(self) -> int:
        read, wrong = self.database.store.record, 0
        for call_id in self.call_ids:
            record = await asyncio.to_thread(read, call_id)
            if problem := _problem(record):
                wrong += 1
                print(f"call {call_id}: {problem}", flush=True)
        return wrong


def _line(sample: Sample) -> str:
    return f"minute {sample.minute:5.1f}: {sample.rss_mb:6.1f} MB, {sample.open_files} files"


def _memory(found: Soak) -> str:
    if not figures.can_judge_memory(found):
        return "too few calls to judge memory"
    return f"memory grew by {figures.growth_kb(found):.1f} KB per call in the second half"


def _problem(record: CallRecord | None) -> str | None:
    if record is None:
        return "it has no record"
    call = record.call
    if call.status is not CallStatus.ENDED:
        return f"it is {call.status}"
    if call.fault and call.fault.reason not in FAULTS_ALLOWED:
        return f"it failed: {call.fault.reason}, {call.fault.detail}"
    return None if record.turns else "nobody has said anything"


def _answered(call_id: str, leg: Leg) -> Call:
    now_ms = _now_ms()
    call = Call(
        call_id=call_id,
        direction=Direction.OUTBOUND,
        to="+15550123",
        from_="+15550100",
        created_at_ms=now_ms,
        changed_at_ms=now_ms,
    )
    known = CallLeg(leg.control_id)
    for event in (CallRequested(), DialAccepted(known), CallAnswered(known, now_ms)):
        call = advance(call, event, now_ms)
    return call


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def soaking(table: Database, slots: int, rates: Rates) -> AsyncIterator[Soaking]:
    counts, chance, port = Counts(), Random(1), free_port()
    async with soak_carrier() as carrier, model(chance, rates, counts) as model_url:
        environ = table.environ() | {
            "TELNYX_API_BASE": carrier.url,
            "MEDIA_PUBLIC_URL": f"ws://127.0.0.1:{port}",
            "BASE_PUBLIC_URL": "http://127.0.0.1:9",
            "TELNYX_CONNECTION_ID": "connection-1",
            "OPENAI_API_KEY": "sk-soak",
            "OPENAI_REALTIME_URL": model_url,
            "MODEL_AUDIO": "g711",
            "MAX_CALLS_PER_TASK": str(slots),
        }
        with running(OURS, port, environ) as pid:
            await _until_up(port)
            url = f"ws://127.0.0.1:{port}"
            yield Soaking(table, carrier, url, pid, rates, counts, chance)


async def _until_up(port: int) -> None:
    async with asyncio.timeout(END_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


async def soak(table: Database, minutes: float, slots: int, rates: Rates) -> Soak:
    async with soaking(table, slots, rates) as running_soak:
        loop, before = asyncio.get_running_loop(), running_soak.sample(0)
        ends_at = loop.time() + minutes * 60
        async with asyncio.TaskGroup() as tasks:
            measuring = tasks.create_task(running_soak.measure(minutes * 60))
            for _ in range(slots):
                tasks.create_task(running_soak.keep_slot_busy(ends_at))
        await asyncio.sleep(END_SECONDS)
        counts = running_soak.counts
        return Soak(
            date=now(),
            machine=machine(),
            minutes=minutes,
            slots=slots,
            calls=counts.calls,
            streams_lost=counts.streams_lost,
            sessions_lost=counts.sessions_lost,
            wrong_records=await running_soak.wrong_records(),
            before=before,
            samples=tuple(measuring.result()),
            after=running_soak.sample(minutes),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--slots", type=int, default=SLOTS)
    options = parser.parse_args()
    with database() as table, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(soak(table, options.minutes, options.slots, Rates()))
    print("\n".join(figures.table(found)))
    lost = f"{found.streams_lost} streams and {found.sessions_lost} sessions were lost"
    print(f"{found.calls} calls; {lost}; {_memory(found)}")
    if options.minutes >= MINUTES:
        figures.save(found)
    if failed := list(figures.problems(found)):
        sys.exit("; ".join(failed))


if __name__ == "__main__":
    main()
