"""Calls one of your numbers and asks Telnyx and OpenAI what their documents leave open: `make
prove`.

It needs the settings of `make dev` with a real phone, and its tunnel. Answer the call, and do what
the voice says. The report is `.build/prove.md`; it has no personal data.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx

from application_webhook import webhook_set
from dev import BUILD, load_settings
from doctor_checks.config import DoctorConfig
from proving.inbound_questions import ask_answer_token
from proving.interview import interview
from proving.line import CarrierApi, Line, Numbers, Waits
from proving.model_questions import ask_model
from proving.questions import ProviderAnswer
from proving.receiver import Receiver, serve
from proving.report import line_of, report_of, settings_of
from real_phone import missing_for_real_phone

API_SECONDS = 15.0
MODEL_SECONDS = 30.0
QUICK_LOOKUPS = (0.0,)


async def prove(
    config: DoctorConfig,
    to: str,
    port: int,
    waits: Waits,
    inbound: AbstractAsyncContextManager[None] | None = None,
    model_seconds: float = MODEL_SECONDS,
) -> list[ProviderAnswer]:
    """Ask everything, and print each answer as it comes."""
    findings: list[ProviderAnswer] = []

    def add(finding: ProviderAnswer) -> None:
        findings.append(finding)
        print(line_of(finding), flush=True)

    async with asyncio.TaskGroup() as tasks:
        model = tasks.create_task(ask_model(config, model_seconds))
        async for finding in ask_line(config, to, port, waits, inbound):
            add(finding)
    for finding in model.result():
        add(finding)
    return findings


async def ask_line(
    config: DoctorConfig,
    to: str,
    port: int,
    waits: Waits,
    inbound: AbstractAsyncContextManager[None] | None = None,
) -> AsyncIterator[ProviderAnswer]:
    """Ask about an inbound call first, while `inbound` leads its webhooks here. None: do not."""
    receiver = Receiver(config.telnyx_public_key, now_ms, secrets.token_hex(8))
    headers = {"Authorization": f"Bearer {config.telnyx_api_key}"}
    numbers = Numbers(
        to,
        config.telnyx_from_number,
        config.telnyx_connection_id,
        config.webhook_url,
        config.media_public_url,
    )
    async with (
        serve(receiver, port),
        httpx.AsyncClient(
            base_url=config.telnyx_api_base, headers=headers, timeout=API_SECONDS
        ) as http,
    ):
        line = Line(CarrierApi(http), receiver, numbers, waits)
        if inbound:
            yield await ask_answer_token(line, inbound)
        async for finding in interview(line):
            yield finding


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def write_report(findings: list[ProviderAnswer], path: Path) -> str:
    """Write the report. Returns what is left to do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_of(findings))
    wanted = settings_of(findings)
    advice = "".join(f"\nSet {name}={value}." for name, value in sorted(wanted.items()))
    return f"The report is {path}.{advice}"


def check_settings(given: Mapping[str, str]) -> DoctorConfig:
    if missing := missing_for_real_phone(given):
        sys.exit(f"prove: {', '.join(missing)} not configured; see docs/proving.md")
    return DoctorConfig.from_env(given)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("to", help="a number of yours, such as +15550123; you must answer it")
    parser.add_argument("--port", type=int, default=3000, help="where your tunnel leads")
    parser.add_argument("--quick", action="store_true", help="do not wait 11 minutes after the end")
    parser.add_argument("--no-inbound", action="store_true", help="do not wait for a call of yours")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder of the report")
    options = parser.parse_args()
    config = check_settings(load_settings())
    waits = Waits(lookups=QUICK_LOOKUPS) if options.quick else Waits()
    inbound = None if options.no_inbound else webhook_set(config, print)
    if inbound:
        print(f"Call {config.telnyx_from_number} now, and wait until it hangs up.", flush=True)
    print(f"Then {options.to} rings. Answer it, and do what the voice says.", flush=True)
    findings = asyncio.run(prove(config, options.to, options.port, waits, inbound))
    print(write_report(findings, options.build / "prove.md"))


if __name__ == "__main__":
    main()
