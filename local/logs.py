"""Prints the logs of Lambdas and containers as one stream, on request of one call only: `make
logs`."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deployment import answers as remembered

PLANES = ("control-plane", "media-bridge")
POLL_SECONDS = 2.0
SHOWN_ELSEWHERE = ("level", "message", "timestamp", "service", "location")


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    at_ms: int
    event_id: str
    plane: str
    text: str

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
        return f"{at} {self.plane:<13} {_readable(self.text)}"


def lines(client: Any, stack: str, since_ms: int, call: str) -> list[LogLine]:
    """Return the log lines of both planes in order, of one call only if `call` is given."""
    pattern = {"filterPattern": f'"{call}"'} if call else {}
    found = []
    for plane in PLANES:
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName=f"/phonebridge/{stack}/{plane}", startTime=since_ms, **pattern
        )
        for event in (event for page in pages for event in page["events"]):
            found.append(LogLine(event["timestamp"], event["eventId"], plane, event["message"]))
    return sorted(line for line in found if '"_aws"' not in line.text)  # metrics are not messages


def follow(client: Any, stack: str, since_ms: int, call: str) -> Iterator[LogLine]:
    """Yield new lines as they arrive. Lines can arrive late, so each request starts a little
    earlier."""
    seen: set[str] = set()
    while True:
        for line in lines(client, stack, since_ms, call):
            if line.event_id not in seen:
                seen.add(line.event_id)
                yield line
        since_ms = max(since_ms, round(time.time() * 1000) - 30_000)
        time.sleep(POLL_SECONDS)


def _readable(text: str) -> str:
    try:
        record: dict[str, Any] = json.loads(text)
    except ValueError:
        return text.rstrip()
    fields = (f"{name}={value}" for name, value in record.items() if name not in SHOWN_ELSEWHERE)
    return " ".join([str(record.get("level", "")), str(record.get("message", "")), *fields])


def main() -> None:
    known = remembered.load(remembered.FILE)
    parser = argparse.ArgumentParser(prog="make logs", description=__doc__)
    parser.add_argument("--stack", default=known.stack)
    parser.add_argument("--region", default=known.region or None)
    parser.add_argument("--call", default="", help="show the lines of this call id only")
    parser.add_argument("--minutes", type=float, default=10, help="how far back to begin")
    parser.add_argument("--once", action="store_true", help="exit after the lines so far")
    options = parser.parse_args()
    since_ms = round((time.time() - options.minutes * 60) * 1000)
    show = lines if options.once else follow
    try:
        client = boto3.client("logs", region_name=options.region)
        for line in show(client, options.stack, since_ms, options.call):
            print(line, flush=True)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"logs: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
