"""The container as the process that runs in production, and the signals it gets there."""

import asyncio
import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import InvalidStatus

from media_plane import SECRET, Outside
from patience import PATIENCE_SECONDS, until
from phonebridge.call import Call, EndedBy
from phonebridge.store import DynamoCallStore
from processes import answering, exit_code, output_of, python
from recorded_telnyx import RecordedTelnyx
from simulators.openai import OpenAISimulator
from simulators.scenario import SHORT
from stack import free_port


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def environ(dynamodb_address: str, table_name: str, telnyx: RecordedTelnyx) -> Mapping[str, str]:
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "CALLS_TABLE": table_name,
        "OPENAI_API_KEY": "sk-test",
        "TELNYX_API_BASE": telnyx.base,
        "TELNYX_API_KEY": "KEY-test",
        "STREAM_TOKEN_SECRET": SECRET,
    }


@asynccontextmanager
async def container(environ: Mapping[str, str]) -> AsyncIterator[tuple[Process, str]]:
    """The process and its address."""
    port = str(free_port())
    command = ("-m", "media_bridge", "--host", "127.0.0.1", "--port", port)
    async with (
        OpenAISimulator(scenario=SHORT, think_ms=0) as model,
        python(*command, environ={**environ, "OPENAI_REALTIME_URL": model.url}) as process,
    ):
        await answering(f"http://127.0.0.1:{port}/healthz")
        yield process, f"127.0.0.1:{port}"


async def until_draining(outside: Outside, late: Call) -> None:
    """A bad token is refused as such, until nobody is let in any more."""
    status = 401
    async with asyncio.timeout(PATIENCE_SECONDS):
        while status == 401:
            with pytest.raises(InvalidStatus) as refusal:
                await outside.dial_in(late, "nonsense")
            status = refusal.value.response.status_code
    assert status == 503


async def until_it_says(process: Process, message: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while message.encode() not in await process.stdout.readline():
            pass


async def test_every_missing_setting_is_named_in_one_line() -> None:
    async with python("-m", "media_bridge", environ={"MODEL_AUDIO": "mp3"}) as process:
        [line] = (await output_of(process)).splitlines()
    assert process.returncode == 1
    for name in ("CALLS_TABLE", "STREAM_TOKEN_SECRET", "Telnyx API key", "OpenAI API key", "mp3"):
        assert name in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_container_ends_when_told(
    environ: Mapping[str, str], number: signal.Signals
) -> None:
    async with container(environ) as (process, _):
        process.send_signal(number)
        assert await exit_code(process) == 0


async def test_sigterm_lets_the_calls_end_and_takes_no_more(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    async with container(environ) as (process, address):
        outside = Outside(address=address, store=store, telnyx=telnyx, now_ms=now_ms)
        phone, late = await outside.greeted(), outside.answered()
        process.send_signal(signal.SIGTERM)
        await until_draining(outside, late)
        await phone.hear()
        await phone.stop()
        assert await phone.closed() == 1000
        assert await exit_code(process) == 0
    call = outside.record(phone.call).call
    assert call.activity.frames_out > 0
    assert call.end_requested_by is None


async def test_sigint_ends_the_calls(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    async with container(environ) as (process, address):
        outside = Outside(address=address, store=store, telnyx=telnyx, now_ms=now_ms)
        phone = await outside.greeted()
        process.send_signal(signal.SIGINT)
        await until(lambda: outside.was_hung_up(phone.call))
        await phone.stop()
        assert await phone.closed() == 1000
        assert await exit_code(process) == 0
    call = outside.record(phone.call).call
    assert call.end_requested_by is EndedBy.SHUTDOWN
    assert call.activity.frames_out > 0


async def test_a_second_sigint_in_a_drain_ends_at_once(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    async with container(environ) as (process, address):
        outside = Outside(address=address, store=store, telnyx=telnyx, now_ms=now_ms)
        phone, late = await outside.greeted(), outside.answered()
        process.send_signal(signal.SIGTERM)
        await until_draining(outside, late)
        process.send_signal(signal.SIGINT)
        await until_it_says(process, "ending calls")
        process.send_signal(signal.SIGINT)
        assert await phone.closed() == 1000, "though nobody stopped the stream"
        assert await exit_code(process) == 0
    call = outside.record(phone.call).call
    assert call.end_requested_by is EndedBy.SHUTDOWN
    assert call.activity.frames_out > 0
