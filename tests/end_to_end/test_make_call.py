"""`make call`: it prints the conversation, and nothing of it stays behind."""

import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aws.template import TEMPLATE
from simulators.audio.speech import CLIPS
from simulators.telnyx.account import CONNECTION_ID
from tests.support.processes import output_of, python
from tests.support.waiting import until
from tests.support.whole_calls import System

pytestmark = pytest.mark.asyncio(loop_scope="package")

CALL = str(TEMPLATE.parent / "local" / "call.py")
STAYS_ON_THE_LINE, REFUSED, WITHOUT_STREAM = "+15550115", "+15550104", "+15550106"
BEFORE = "https://old.example/hooks"


@asynccontextmanager
async def make_call(system: System, to: str, *options: str) -> AsyncIterator[Process]:
    """`make call` with the settings of an account whose webhooks go elsewhere."""
    system.telnyx.account.webhook_event_url = BEFORE
    environ = {
        "TELNYX_API_BASE": system.telnyx.api_base,
        "TELNYX_API_KEY": "KEY-test",
        "TELNYX_CONNECTION_ID": CONNECTION_ID,
        "BASE_PUBLIC_URL": str(system.api.base_url),
    }
    port = str(system.api.base_url.port)
    async with python(CALL, to, "--port", port, *options, environ=environ) as process:
        yield process


async def test_the_conversation_is_printed_and_its_end(system: System) -> None:
    greeting = "Good morning, this is the first call."
    async with make_call(system, "+15550145", "--greeting", greeting) as process:
        printed = await output_of(process)
    assert process.returncode == 0
    words = [" ".join(line.split()[2:]) for line in printed.splitlines()]
    assert words[0] == "outbound call +15550100 -> +15550145"
    assert f"agent says {greeting}" in [line.partition(" (")[0] for line in words]
    assert f"caller says {CLIPS['caller_what_to_bring'].text}" in words
    assert any(line.startswith("ended completed, callee_hung_up") for line in words)
    assert any(line.startswith("cost ") for line in words)


async def test_ctrl_c_hangs_up_and_restores_the_webhook_url(system: System) -> None:
    account = system.telnyx.account
    earlier = len(system.phones(STAYS_ON_THE_LINE))
    async with make_call(system, STAYS_ON_THE_LINE, "--set-webhook") as process:
        await until(lambda: len(system.phones(STAYS_ON_THE_LINE)) > earlier)
        assert account.webhook_event_url == f"{system.api.base_url}/webhooks/telnyx"
        phone = system.phone(STAYS_ON_THE_LINE)
        process.send_signal(signal.SIGINT)
        printed = await output_of(process)
    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    assert phone.state == "ended"
    assert "hanging up" in printed
    assert account.webhook_event_url == BEFORE


async def test_a_refused_call_restores_the_webhook_url_and_fails(system: System) -> None:
    async with make_call(system, REFUSED, "--set-webhook") as process:
        printed = await output_of(process)
    assert process.returncode == 1
    assert "D60" in printed
    assert "troubleshooting" in printed
    assert system.telnyx.account.webhook_event_url == BEFORE


async def test_a_call_that_fails_later_says_why_and_where_to_look(system: System) -> None:
    async with make_call(system, WITHOUT_STREAM) as process:
        printed = await output_of(process)
    assert process.returncode == 1
    [ended] = [line for line in printed.splitlines() if " ended " in line]
    assert "failed, streaming_start_failed" in ended
    assert "422" in ended
    assert "troubleshooting" in printed.splitlines()[-1]
