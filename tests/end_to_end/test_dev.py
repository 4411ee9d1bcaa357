"""`make dev`: what it starts, what it leaves to others, and that nothing of it stays behind."""

import asyncio
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from aws.stack import free_port
from aws.template import TEMPLATE
from tests.support.processes import answering, output_of, python
from tests.support.waiting import TIMEOUT_SECONDS

DEV = str(TEMPLATE.parent / "local" / "dev.py")
CALLEE = {"to": "+15550123"}


@asynccontextmanager
async def dev(
    port: int, build: Path, *options: str, **environ: str
) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """The process, once it serves, and a client of its API."""
    url = f"http://127.0.0.1:{port}/api/ai-calls"
    arguments = ("--port", str(port), "--build", str(build), *options)
    async with (
        python(DEV, *arguments, environ=environ) as process,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=TIMEOUT_SECONDS) as api,
    ):
        await answering(f"{url}/status")
        yield process, api


def children(process: Process) -> list[Path]:
    """What it has started itself; the paths are there as long as those run."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [Path("/proc") / each for each in listed.split()]


async def test_it_serves_until_it_is_told_to_stop_and_leaves_nothing(tmp_path: Path) -> None:
    async with dev(free_port(), tmp_path) as (process, api):
        assert (await api.post("/create", json=CALLEE)).status_code == 201
        started = children(process)
        assert len(started) == 2
        process.send_signal(signal.SIGINT)
        printed = await output_of(process)
    assert process.returncode == 0
    assert "Traceback" not in printed
    assert not [each for each in started if each.exists()]


async def test_what_happens_is_printed_in_lines_and_kept_for_the_next_run(tmp_path: Path) -> None:
    agent = "/api/agents/reception"
    greeting = "You have reached Luigi's."
    async with dev(free_port(), tmp_path) as (process, api):
        await api.put(str(api.base_url).replace("/api/ai-calls/", agent), json={})
        await api.post("/create", json=CALLEE | {"greeting": greeting})
        shown = await lines_until(f"agent says {greeting}", process)
        process.send_signal(signal.SIGINT)
        await output_of(process)
    assert any("outbound call +15550100 -> +15550123" in line for line in shown)
    assert any(line.endswith("call.answered") for line in shown)
    assert not [line for line in shown if line.startswith("{")]
    assert "call.answered" in (tmp_path / "dev.log").read_text()

    async with dev(free_port(), tmp_path) as (process, api):
        kept = await api.get(str(api.base_url).replace("/api/ai-calls/", agent))
        process.send_signal(signal.SIGINT)
        await output_of(process)
    assert kept.status_code == 200

    async with dev(free_port(), tmp_path, "--fresh") as (process, api):
        gone = await api.get(str(api.base_url).replace("/api/ai-calls/", agent))
        process.send_signal(signal.SIGINT)
        await output_of(process)
    assert gone.status_code == 404


async def test_a_port_in_use_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with python(DEV, "--port", str(port), environ={}) as process:
            printed = await output_of(process)
    assert process.returncode == 1
    assert printed == f"port {port} of 127.0.0.1 is not available. Is it in use?\n"


async def test_without_a_key_for_the_model_it_serves_and_refuses_calls(tmp_path: Path) -> None:
    async with dev(free_port(), tmp_path, OPENAI_API_KEY="") as (process, api):
        answer = await api.post("/create", json=CALLEE)
        started = children(process)
        process.send_signal(signal.SIGTERM)
        await output_of(process)
    assert process.returncode == 0
    assert not [each for each in started if each.exists()]
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "OpenAI API key not configured"


async def test_providers_that_are_given_are_used_and_not_simulated(tmp_path: Path) -> None:
    """Each simulator on its own, as anybody else's server would be."""
    port = free_port()
    webhooks = f"http://127.0.0.1:{port}/webhooks/telnyx"
    openai = ("-m", "simulators.openai", "--port", "0", "--scenario", "short")
    telnyx = ("-m", "simulators.telnyx", "--port", "0", "--webhook-url", webhooks)
    async with python(*openai, environ={}) as model, python(*telnyx, environ={}) as phone:
        given = {
            "OPENAI_API_KEY": "sk-given",
            "OPENAI_REALTIME_URL": await next_line(model),
            "TELNYX_API_BASE": (await next_line(phone)).split()[-1],
            "TELNYX_PUBLIC_KEY": (await next_line(phone)).removeprefix("TELNYX_PUBLIC_KEY="),
        }
        async with dev(port, tmp_path, **given) as (process, api):
            call = (await api.post("/create", json=CALLEE)).json()
            await line_with("session.created", model)
            await line_with("first audio", phone)
            assert (await api.post(f"/{call['call_id']}/hangup")).status_code == 202
            await line_with("call.hangup [200]", phone)
            process.send_signal(signal.SIGINT)
            printed = await output_of(process)
    assert process.returncode == 0
    assert "simulat" not in printed


async def next_line(process: Process) -> str:
    assert process.stdout
    line = await process.stdout.readline()
    assert line, "it has ended"
    return line.decode().strip()


async def lines_until(text: str, process: Process) -> list[str]:
    """Its lines, with one space between words."""
    lines: list[str] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not (lines and text in lines[-1]):
            lines.append(" ".join((await next_line(process)).split()))
    return lines


async def line_with(text: str, process: Process) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while text not in await next_line(process):
            pass
