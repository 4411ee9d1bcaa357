"""`make logs`: two log groups as one stream."""

import json
import time
from pathlib import Path

import pytest

from tests.support.deployers import Machine

FIRST, SECOND = "11111111-aaaa", "22222222-bbbb"


def line(message: str, call_id: str, **more: object) -> str:
    known = {"level": "INFO", "message": message, "service": "phonebridge", "call_id": call_id}
    return json.dumps(known | more)


@pytest.fixture
def machine(tmp_path: Path, dynamodb_address: str) -> Machine:
    machine = Machine(tmp_path, dynamodb_address)
    logs = machine.client("logs")
    now_ms = round(time.time() * 1000)
    written = {
        "control-plane": [
            (now_ms - 5_000, line("webhook received", FIRST, event_type="call.answered")),
            (now_ms - 1_000, line("webhook received", SECOND, event_type="call.hangup")),
        ],
        "media-bridge": [
            (now_ms - 3_000, line("media socket accepted", FIRST)),
            (now_ms - 2_000, json.dumps({"_aws": {}, "ActiveCalls": 1})),
            (now_ms - 500, "Traceback (most recent call last):"),
            (now_ms - 3_600_000, line("an hour ago", FIRST)),
        ],
    }
    for plane, events in written.items():
        group = f"/phonebridge/{machine.stack}/{plane}"
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="stream")
        told = [{"timestamp": at, "message": text} for at, text in sorted(events)]
        logs.put_log_events(logGroupName=group, logStreamName="stream", logEvents=told)
    return machine


async def shown(machine: Machine, *arguments: str) -> list[str]:
    command = ("logs.py", "--stack", machine.stack, "--once", *arguments)
    code, printed = await machine.run(*command)
    assert code == 0, printed
    return [each.split(" ", 1)[1] for each in printed.splitlines()]


async def test_both_planes_are_shown_in_order_and_without_metrics(machine: Machine) -> None:
    assert await shown(machine) == [
        f"control-plane INFO webhook received call_id={FIRST} event_type=call.answered",
        f"media-bridge  INFO media socket accepted call_id={FIRST}",
        f"control-plane INFO webhook received call_id={SECOND} event_type=call.hangup",
        "media-bridge  Traceback (most recent call last):",
    ]


async def test_one_call_can_be_followed_alone(machine: Machine) -> None:
    found = await shown(machine, "--call", FIRST)
    assert len(found) == 2
    assert all(FIRST in each for each in found)


async def test_one_can_look_further_back(machine: Machine) -> None:
    assert "an hour ago" in (await shown(machine, "--minutes", "120"))[0]


async def test_a_stack_without_logs_is_told(machine: Machine) -> None:
    code, printed = await machine.run("logs.py", "--stack", "another", "--once")
    assert code == 1
    assert printed.startswith("logs: ")
    assert "ResourceNotFoundException" in printed
