"""Calls a phone, prints the conversation as it happens, and hangs up on Ctrl-C: `make call
TO=+15550123`. Needs `make dev`."""

import argparse
import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import httpx

from application_webhook import WebhookNotSet, webhook_set
from dev import load_settings
from doctor_checks.config import DoctorConfig
from follow import AFTER_END_SECONDS, POLL_SECONDS, CallLines, Print, Record, print_with_time

PORT = 3000
API_SECONDS = 40.0
"""Longer than the API waits for Telnyx."""
HANGUP_SECONDS = 30.0
"""How long a call may take to end after Ctrl-C."""
GREETING = "Hello! This is your first call with Phonebridge. What would you like to talk about?"
ADVICE = "`make doctor` checks the settings. docs/troubleshooting.md explains other causes."


class CannotCall(Exception):
    """The call cannot be placed, or it did not work. The message says why and what to do."""


class FollowedCall:
    """A call that was placed with the local API."""

    def __init__(
        self,
        api: httpx.AsyncClient,
        call_id: str,
        print_line: Print,
        hangup_seconds: float = HANGUP_SECONDS,
    ) -> None:
        self._api = api
        self._path = f"/api/ai-calls/{call_id}"
        self._print = print_line
        self._hangup_seconds = hangup_seconds
        self._lines = CallLines()

    async def follow(self, stopped: asyncio.Event) -> Record:
        """Print what happens, hang up when `stopped` is set, and return the complete record."""
        record = await self._read()
        while record["status"] != "ended":
            if stopped.is_set():
                await self._hang_up()
                break
            await _wait(stopped, POLL_SECONDS)
            record = await self._read()
        return await self._read_rest()

    async def _hang_up(self) -> None:
        self._print("hanging up")
        await request(self._api, "POST", f"{self._path}/hangup")
        try:
            async with asyncio.timeout(self._hangup_seconds):
                await self._read_until_ended()
        except TimeoutError as error:
            again = f"curl -X POST {self._api.base_url.join(self._path)}/hangup"
            raise CannotCall(f"The call has not ended yet. Repeat: {again}") from error

    async def _read_until_ended(self) -> None:
        while True:
            if (await self._read())["status"] == "ended":
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _read_rest(self) -> Record:
        """Read the record until it is complete. The cost arrives last."""
        ended_at_s = asyncio.get_running_loop().time()
        while True:
            record = await self._read()
            was_answered = record["duration_seconds"] is not None
            waited_s = asyncio.get_running_loop().time() - ended_at_s
            if not was_answered or record["cost"]["total"] is not None:
                return record
            if waited_s > AFTER_END_SECONDS:
                return record
            await asyncio.sleep(POLL_SECONDS)

    async def _read(self) -> Record:
        record: Record = (await request(self._api, "GET", self._path)).json()
        for line in self._lines.new_lines(record):
            self._print(line)
        return record


async def place(api: httpx.AsyncClient, body: dict[str, Any], print_line: Print) -> FollowedCall:
    created = (await request(api, "POST", "/api/ai-calls/create", body)).json()
    for warning in created["warnings"]:
        print_line(f"warning: {warning}")
    return FollowedCall(api, created["call_id"], print_line)


async def request(
    api: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    try:
        answer = await api.request(method, path, json=body)
    except httpx.TransportError as error:
        raise CannotCall(f"Nothing answers on {api.base_url}: is `make dev` running?") from error
    if answer.is_error:
        raise CannotCall(f"{_message_of(answer).rstrip('.')}. {ADVICE}")
    return answer


def _message_of(answer: httpx.Response) -> str:
    """Return the message of an error, of ours or of the gateway."""
    try:
        body = answer.json()
    except ValueError:
        return f"The API answers HTTP {answer.status_code}."
    return str(body["error"]["message"] if "error" in body else body.get("message"))


async def _wait(stopped: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopped.wait()
    except TimeoutError:
        pass


def _body_of(options: argparse.Namespace) -> dict[str, Any]:
    wanted = {
        "to": options.to,
        "agent": options.agent,
        "instructions": options.instructions,
        "greeting": options.greeting or (None if options.agent else GREETING),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _webhook(options: argparse.Namespace) -> AbstractAsyncContextManager[None]:
    if not options.set_webhook:
        return nullcontext()
    return webhook_set(DoctorConfig.from_env(load_settings()), print_with_time)


async def call(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    url = f"http://127.0.0.1:{options.port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=API_SECONDS) as api:
        await request(api, "GET", "/api/ai-calls/status")
        async with _webhook(options):
            placed = await place(api, _body_of(options), print_with_time)
            record = await placed.follow(stopped)
    if record["outcome"] == "failed":
        raise CannotCall(ADVICE)


def build_parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="make call", description=__doc__)
    options.add_argument("to", help="the number to call")
    options.add_argument("--agent", help="the name of a stored agent that speaks")
    options.add_argument("--instructions", help="what the agent shall do")
    options.add_argument("--greeting", help="what the agent says first")
    options.add_argument(
        "--set-webhook",
        action="store_true",
        help="set the webhook URL of the Telnyx application, and restore it after the call",
    )
    options.add_argument("--port", type=int, default=PORT, help="of `make dev`")
    return options


def main() -> None:
    try:
        asyncio.run(call(build_parser().parse_args()))
    except (CannotCall, WebhookNotSet) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
