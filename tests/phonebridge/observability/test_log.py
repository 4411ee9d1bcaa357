"""What a log line shows, and what it hides."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from phonebridge.observability.log import call_on_every_line, logger, mask_numbers


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_json_with_its_values_as_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logger("log-json").info("call status changed", before="dialing", after="answered")
    [line] = lines(capsys)
    assert line["message"] == "call status changed"
    assert (line["level"], line["service"]) == ("INFO", "log-json")
    assert (line["before"], line["after"]) == ("dialing", "answered")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+15550100", "+****0100"),
        ("from +15550100 to +442079460000.", "from +****0100 to +****0000."),
        ("sip:+15550100@example.com", "sip:+****0100@example.com"),
        ("2026-11-23T09:00:00+0000 took +12 ms", "2026-11-23T09:00:00+0000 took +12 ms"),
        ("", ""),
    ],
)
def test_phone_numbers_are_masked(text: str, masked: str) -> None:
    assert mask_numbers(text) == masked


def test_no_field_and_no_traceback_shows_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    log = logger("log-masked")
    log.info("dialling +15550100", to="+15550101", nested={"from": ["+15550102"]})
    try:
        raise ValueError("+15550103 is bad")
    except ValueError:
        log.exception("dial FAILED")
    text = capsys.readouterr().out
    assert "+1555" not in text
    assert text.count("+****01") >= 4


def test_a_call_is_on_every_line_of_its_own_and_on_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logger("log-call")
    log.info("before")
    with call_on_every_line(log, "call-1"):
        log.info("inside")
    log.info("afterwards")
    assert [line.get("call_id") for line in lines(capsys)] == [None, "call-1", None]


async def test_calls_that_run_side_by_side_keep_their_ids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logger("log-tasks")
    both_inside = asyncio.Barrier(2)

    async def conversation(call_id: str) -> None:
        with call_on_every_line(log, call_id):
            await both_inside.wait()
            log.info(call_id)
            await asyncio.to_thread(log.info, call_id)
            await both_inside.wait()

    async with asyncio.TaskGroup() as calls:
        calls.create_task(conversation("call-1"))
        calls.create_task(conversation("call-2"))
    logged = lines(capsys)
    assert len(logged) == 4
    assert all(line["call_id"] == line["message"] for line in logged)


def test_threads_keep_their_ids_too(capsys: pytest.CaptureFixture[str]) -> None:
    log = logger("log-threads")

    def conversation(call_id: str) -> None:
        with call_on_every_line(log, call_id):
            log.info(call_id)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(conversation, (f"call-{number}" for number in range(16))))
    logged = lines(capsys)
    assert len(logged) == 16
    assert all(line["call_id"] == line["message"] for line in logged)


def test_an_error_leaves_no_call_behind(capsys: pytest.CaptureFixture[str]) -> None:
    log = logger("log-error")
    with pytest.raises(ValueError, match="oops"), call_on_every_line(log, "call-1"):
        raise ValueError("oops")
    log.info("afterwards")
    assert "call_id" not in lines(capsys)[0]
