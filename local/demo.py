"""Makes one whole phone call on this machine and prints it as it happens: `make demo`.

A simulated caller speaks real audio into a simulated Telnyx. The audio crosses the real gateway,
handlers and media container to a simulated model, and back. Each side recognises the audio that it
receives, so every printed line proves that sound crossed the bridge. The exit code is 0 only if
every line was recognised.

`make demo ARGS="--scenario lost-model"` lets the model's server close the session in the middle of
a sentence. The call goes on in another session. `--scenario lost-task` kills the media container
that carries the call. Another container takes it over.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from aws.stack import CONTAINER, LocalStack, Plan, free_port, log_handlers_to, running
from demo_checks import DemoResult, FinishedCall, problems_after_loss, problems_of, result_of
from simulators.openai.faults import NO_FAULTS, ModelFaults
from simulators.scenario import APPOINTMENT

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / ".build" / "demo.log"
SOUND = ROOT / ".build" / "demo.wav"
CALLEE = "+15550123"
MAX_CALL_SECONDS = 300.0
"""Several times what the call takes: on a busy machine its people wait for the container."""
LAST_WRITES_SECONDS = 30.0
POLL_SECONDS = 0.1
TIMEOUT_MS = 15_000
LOST_IN_RESPONSE = 2
LINES_BEFORE_KILL = 3
WITHOUT_INTERRUPTION = replace(
    APPOINTMENT,
    name="lost task",
    caller=tuple(replace(line, interrupt_after_ms=None) for line in APPOINTMENT.caller),
)
"""The loss of the container is interruption enough."""
INSTRUCTIONS = "You are the receptionist of a dental practice. Be friendly and brief."

# Events of the simulators that the demo prints.
SHOWN = {
    ("phone", "webhook"): "webhook",
    ("phone", "interrupted"): "interrupted",
    ("phone", "first audio"): "first audio",
    ("phone", "person hangs up"): "hangs up",
    ("phone", "heard"): "agent said",
    ("model", "heard"): "caller said",
    ("model", "breakdown"): "model lost",
    ("model", "session.created"): "model",
    ("model", "truncated"): "truncated",
}


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong in the call."""

    faults: ModelFaults = NO_FAULTS
    loses_task: bool = False
    """The media container that carries the call is killed in the middle of it."""


SCENARIOS = {
    "appointment": Mishap(),
    "lost-model": Mishap(ModelFaults(close_in_response=LOST_IN_RESPONSE, only_in_session=1)),
    "lost-task": Mishap(loses_task=True),
}


class Moment:
    """Waits until the caller has said this many lines."""

    def __init__(self, printer: "Printer", lines: int) -> None:
        self._printer = printer
        self._lines_left = lines
        self.came = asyncio.Event()

    def __call__(self, side: str, event: str, detail: str) -> None:
        self._printer(side, event, detail)
        self._lines_left -= (side, event) == ("phone", "said")
        if self._lines_left == 0:
            self.came.set()


class Printer:
    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, side: str, event: str, detail: str) -> None:
        if label := SHOWN.get((side, event)):
            self.line(label, detail)

    def line(self, label: str, text: str) -> None:
        print(f"{time.monotonic() - self._started:7.2f}  {label:<12} {text}", flush=True)


def plan_call(loses_task: bool = False, container: tuple[str, ...] = CONTAINER) -> Plan:
    return Plan(
        free_port(),
        WITHOUT_INTERRUPTION if loses_task else APPOINTMENT,
        hangs_up=True,
        silence_timeout_ms=TIMEOUT_MS,
        log=LOG,
        keeps_sound=True,
        containers=2 if loses_task else 1,
        container=container,
    )


async def call(printer: Printer, mishap: Mishap) -> tuple[DemoResult, list[str]]:
    plan = plan_call(mishap.loses_task)
    moment = Moment(printer, LINES_BEFORE_KILL)
    async with running(plan, {}, moment) as stack, asyncio.TaskGroup() as tasks:
        log_handlers_to(LOG)
        printer.line("ready", f"{stack.url}, log in {LOG.relative_to(ROOT)}")
        assert stack.openai is not None
        stack.openai.faults = mishap.faults
        killing = tasks.create_task(_kill_container(stack, moment, printer, mishap))
        async with httpx.AsyncClient(
            base_url=stack.url, trust_env=False, timeout=MAX_CALL_SECONDS
        ) as api:
            record = await place_and_follow(api, printer)
        killing.cancel()
        assert stack.telnyx is not None
        phone = stack.telnyx.calls[0]
        assert phone.sound is not None
        phone.sound.save_wav(SOUND)
        models = stack.openai.sessions
        if not models:
            sys.exit(f"The call ended before the model was reached: {record['fault']}")
        finished = FinishedCall(record, phone, models)
        if mishap.loses_task:
            return result_of(finished), problems_after_loss(finished)
        return result_of(finished), problems_of(finished, plan.scenario, LOST_IN_RESPONSE)


async def _kill_container(
    stack: LocalStack, moment: Moment, printer: Printer, mishap: Mishap
) -> None:
    if mishap.loses_task:
        await moment.came.wait()
        printer.line("kill", "the media container that carries the call is killed")
        await stack.containers[0].kill()


async def place_and_follow(api: httpx.AsyncClient, printer: Printer) -> dict[str, Any]:
    """Create a call, print its statuses, and return its record once it has ended."""
    body = {"to": CALLEE, "instructions": INSTRUCTIONS}
    created = (await api.post("/api/ai-calls/create", json=body)).raise_for_status().json()
    call_id = created["call_id"]
    printer.line("created", f"call {call_id}")
    status = ""
    deadline = time.monotonic() + MAX_CALL_SECONDS
    while True:
        record: dict[str, Any] = (await api.get(f"/api/ai-calls/{call_id}")).json()
        if record["status"] != status:
            status = record["status"]
            printer.line("status", status)
            if status == "ended":
                deadline = time.monotonic() + LAST_WRITES_SECONDS
        # The container writes its figures last.
        written = status == "ended" and record["activity"]["frames_in"]
        if written or time.monotonic() > deadline:
            return record
        await asyncio.sleep(POLL_SECONDS)


def differences_of(record: dict[str, Any], stack: LocalStack, plan: Plan) -> list[str]:
    """List what went wrong in the only call of the stack."""
    assert stack.telnyx
    assert stack.openai
    finished = FinishedCall(record, stack.telnyx.calls[0], stack.openai.sessions)
    return problems_of(finished, plan.scenario, LOST_IN_RESPONSE)


def _print_summary(result: DemoResult, problems: list[str]) -> None:
    print("\nThe turns in the record, and how well the other side recognised them:\n")
    for line in result.turns:
        print(f"  {line.who:>6}  {line.match:5.3f} {line.snr_db:5.1f} dB  {line.text}")
    print(
        f"\n  outcome {result.outcome}, {result.interruptions} interruption(s);"
        f" first audio {result.first_audio_ms} ms after the answer,"
        f" median turn latency {result.turn_latency_ms} ms"
        f"\n  {result.frames_in} frames from the caller, {result.frames_out} messages to the caller"
    )
    print(f"\n  Listen to it: {SOUND.relative_to(ROOT)} (caller left, agent right)")
    for problem in problems:
        print(f"\n  WRONG: {problem}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, default="appointment")
    parser.add_argument("--json", action="store_true", help="print the result as JSON at the end")
    arguments = parser.parse_args()
    result, problems = asyncio.run(call(Printer(), SCENARIOS[arguments.scenario]))
    _print_summary(result, problems)
    if arguments.json:
        print(json.dumps(asdict(result)))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
