"""The log of a call, when the other sides have much to say."""

import json

import pytest

from media_bridge.commands import Log
from media_bridge.runtime.call_log import MAX_DETAIL_LENGTH, CallLog, shorten
from phonebridge.observability.log import logger


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_happens_now_and_then_is_told_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    log = CallLog(logger("call-log"), "call-1")
    for detail in ("first", "second"):
        log.write_entry(Log("warning", "model error", detail))
    log.write("info", "ending call", by="api")
    lines = log_lines(capsys)
    assert [(line["level"], line["message"]) for line in lines] == [
        ("WARNING", "model error"),
        ("WARNING", "model error"),
        ("INFO", "ending call"),
    ]
    assert [line.get("detail") for line in lines] == ["first", "second", None]
    assert {line["call_id"] for line in lines} == {"call-1"}


def test_what_comes_again_and_again_is_told_ever_more_seldom(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = CallLog(logger("call-log-flood"), "call-1")
    for _ in range(100):
        log.write_entry(Log("warning", "unreadable media frame", "Not JSON"))
    log.write_entry(Log("warning", "model error", "another matter"))
    *flood, other = log_lines(capsys)
    assert [line.get("times") for line in flood] == [None] * 10 + [16, 32, 64]
    assert other["message"] == "model error"


def test_a_detail_has_an_end() -> None:
    assert shorten("as it is") == "as it is"
    assert shorten("x" * 1_000_000) == "x" * MAX_DETAIL_LENGTH + "…"
