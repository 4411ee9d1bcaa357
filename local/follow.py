"""Prints what happens on calls: one line per event, and one per turn of the conversation.

It only reads the HTTP API, so it works with simulated and with real providers.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

POLL_SECONDS = 0.5
AFTER_END_SECONDS = 10.0
"""How long a call is read after its end. The recording and the cost arrive late."""
ALARMING = ("WARNING", "ERROR", "CRITICAL")
SHORT_ID = 6
LABEL_WIDTH = 20

Record = dict[str, Any]
Print = Callable[[str], None]


class CallLines:
    """Knows which lines of a call have been printed, and returns the new ones."""

    def __init__(self) -> None:
        self._events = 0
        self._turns: set[int] = set()
        self._is_introduced = False
        self._is_over = False
        self._is_priced = False

    def new_lines(self, record: Record) -> Iterator[str]:
        if not self._is_introduced:
            self._is_introduced = True
            label = f"{record['direction']} call"
            yield _line(record, label, f"{record['from']} -> {record['to']}")
        for event in record["timeline"][self._events :]:
            yield _line(record, event["what"], event["detail"])
        self._events = max(self._events, len(record["timeline"]))
        for turn in record["turns"]:
            if turn["number"] not in self._turns:
                self._turns.add(turn["number"])
                yield _line(record, f"{turn['who']} says", _words_of(turn))
        yield from self._end(record)

    def _end(self, record: Record) -> Iterator[str]:
        if record["status"] != "ended":
            return
        if not self._is_over:
            self._is_over = True
            yield _line(record, "ended", _outcome_of(record))
        if not self._is_priced and record["cost"]["total"] is not None:
            self._is_priced = True
            yield _line(record, "cost", f"{record['cost']['total']:.4f} US dollars")


def _line(record: Record, label: str, detail: str) -> str:
    return f"{record['call_id'][:SHORT_ID]}  {label:<{LABEL_WIDTH}} {detail}".rstrip()


def _words_of(turn: Record) -> str:
    unheard = f" [not heard: {turn['unheard']}]" if turn["unheard"] else ""
    latency = f" ({turn['latency_ms']} ms)" if turn["latency_ms"] is not None else ""
    return f"{turn['text']}{unheard}{latency}"


def _outcome_of(record: Record) -> str:
    talked = record["duration_seconds"]
    parts = [
        record["outcome"],
        record["reason"],
        None if talked is None else f"{talked:.0f} s",
        record["fault"] and record["fault"]["detail"],
    ]
    return ", ".join(part for part in parts if part)


class CallFollower:
    def __init__(self, api: httpx.AsyncClient, print_line: Print) -> None:
        self._api = api
        self._print = print_line
        self._lines: dict[str, CallLines] = {}
        self._ended_at_s: dict[str, float] = {}
        self._finished: set[str] = set()

    async def follow_all(self) -> None:
        """Print the lines of every call from now on, until cancelled."""
        self._finished = set(await self._list_calls(ended=True))
        while True:
            try:
                for call_id in reversed(
                    [*await self._list_calls(), *await self._list_calls(ended=True)]
                ):
                    await self._read(call_id)
            except httpx.HTTPError as error:
                self._print(f"the API cannot be read: {error!r}")
            await asyncio.sleep(POLL_SECONDS)

    async def _list_calls(self, *, ended: bool = False) -> list[str]:
        query = {"ended": "true"} if ended else {}
        answer = await self._api.get("/api/ai-calls/status", params=query)
        return [call["call_id"] for call in answer.raise_for_status().json()["calls"]]

    async def _read(self, call_id: str) -> None:
        if call_id in self._finished:
            return
        record = (await self._api.get(f"/api/ai-calls/{call_id}")).raise_for_status().json()
        for line in self._lines.setdefault(call_id, CallLines()).new_lines(record):
            self._print(line)
        if record["status"] == "ended":
            now_s = asyncio.get_running_loop().time()
            if now_s - self._ended_at_s.setdefault(call_id, now_s) > AFTER_END_SECONDS:
                self._finished.add(call_id)
                del self._lines[call_id], self._ended_at_s[call_id]


async def follow_log(path: Path, print_line: Print) -> None:
    """Print the warnings and errors that are logged from now on, until cancelled."""
    with path.open(errors="replace") as log:
        log.seek(0, 2)
        rest = ""
        while True:
            *lines, rest = (rest + log.read()).split("\n")
            for line in filter(None, map(warning_of, lines)):
                print_line(line)
            await asyncio.sleep(POLL_SECONDS)


def warning_of(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("level") not in ALARMING:
        return None
    details = (str(entry[name]) for name in ("detail", "reason", "error") if entry.get(name))
    call = str(entry.get("call_id", ""))[:SHORT_ID].ljust(SHORT_ID)
    text = ": ".join((str(entry.get("message", "")), *details))
    return f"{call}  {entry['level'].lower():<{LABEL_WIDTH}} {text}"


def print_with_time(line: str) -> None:
    print(f"{datetime.now():%H:%M:%S}  {line}", flush=True)
