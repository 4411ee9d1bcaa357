import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from aws.template import TEMPLATE
from follow import CallLines, follow_log, warning_of
from tests.support.waiting import until

SAMPLE: dict[str, Any] = json.loads((TEMPLATE.parent / "docs" / "sample_record.json").read_text())
WITHOUT_END = SAMPLE | {"status": "streaming", "outcome": None, "reason": None, "cost": None}


def texts(record: dict[str, Any], lines: CallLines) -> list[str]:
    """The lines without the call's id and with one space between words."""
    return [" ".join(line.split()[1:]) for line in lines.new_lines(record)]


def test_every_event_and_every_turn_is_a_line() -> None:
    printed = texts(SAMPLE, CallLines())
    assert printed[0] == "outbound call +15550100 -> +15550123"
    assert "call.hangup normal_clearing by callee, SIP 200" in printed
    assert "caller says Hello I would like to book a check up" in printed
    assert "agent says Of course. Which day would suit you best? (822 ms)" in printed
    assert any("nine fifteen, [not heard: at ten thirty" in line for line in printed)
    assert printed[-2:] == ["ended completed, callee_hung_up, 30 s", "cost 0.0171 US dollars"]
    assert len(printed) == 3 + len(SAMPLE["timeline"]) + len(SAMPLE["turns"])


def test_nothing_is_printed_twice() -> None:
    lines = CallLines()
    beginning = WITHOUT_END | {"turns": SAMPLE["turns"][:1], "timeline": SAMPLE["timeline"][:2]}
    first = texts(beginning, lines)
    assert len(first) == 4
    assert texts(beginning, lines) == []
    rest = texts(SAMPLE, lines)
    assert not set(first) & set(rest)
    assert sorted(first + rest) == sorted(texts(SAMPLE, CallLines()))
    assert texts(SAMPLE, lines) == []


def test_a_call_that_was_never_answered_ends_with_its_reason() -> None:
    absent = {"duration_seconds": None, "outcome": "failed", "reason": "dial_failed"}
    fault = {"reason": "dial_failed", "detail": "Telnyx refused the dial"}
    nothing: dict[str, Any] = {"turns": [], "timeline": [], "fault": fault}
    printed = texts(SAMPLE | absent | nothing | {"cost": {"total": None}}, CallLines())
    assert printed[1:] == ["ended failed, dial_failed, Telnyx refused the dial"]


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ('{"level": "INFO", "message": "call begins"}', None),
        ("Traceback (most recent call last):", None),
        ('"text"', None),
        (
            '{"level": "ERROR", "message": "no session", "detail": "refused", "call_id": "0d0c"}',
            "0d0c error no session: refused",
        ),
        ('{"level": "WARNING", "message": "slow"}', "warning slow"),
    ],
)
def test_only_warnings_of_the_log_are_printed(line: str, printed: str | None) -> None:
    found = warning_of(line)
    assert (found and " ".join(found.split())) == printed


async def test_a_log_is_followed_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "dev.log"
    path.write_text('{"level": "ERROR", "message": "of an earlier run"}\n')
    printed: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow_log(path, printed.append))
        await asyncio.sleep(0)
        with path.open("a") as log:
            log.write('{"level": "ERROR", "mess')
            log.flush()
            log.write('age": "of this run"}\n')
        await until(lambda: bool(printed))
        following.cancel()
    assert [line.endswith("of this run") for line in printed] == [True]
