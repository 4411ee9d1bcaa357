"""The container as the process that runs in production, and the signals it gets there."""

import asyncio
import json
import os
import signal
import subprocess
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import boto3
import pytest
from websockets.exceptions import InvalidStatus

from aws.stack import free_port
from phonebridge.call.call import Call, EndedBy
from phonebridge.storage.call_store import DynamoCallStore
from simulators.openai.server import OpenAISimulator
from simulators.scenario import SHORT
from tests.support.aws_front import aws_front
from tests.support.bad_servers import bad_server
from tests.support.doctor_setups import House, opened
from tests.support.media_plane import SECRET, Outside
from tests.support.otlp_receiver import otlp_receiver
from tests.support.processes import answering, exit_code, output_of, python
from tests.support.recorded_telnyx import RecordedTelnyx
from tests.support.waiting import TIMEOUT_SECONDS, until

PROVIDER_KEYS = ("OPENAI_API_KEY", "TELNYX_API_KEY", "STREAM_TOKEN_SECRET")


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


def secret_in(address: str, keys: Mapping[str, str]) -> str:
    """The ARN of a secret that holds them."""
    client = boto3.client(
        "secretsmanager",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    made = client.create_secret(Name=f"provider-{now_ms()}", SecretString=json.dumps(keys))
    client.close()
    return str(made["ARN"])


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


@asynccontextmanager
async def serving_container(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> AsyncIterator[tuple[Process, Outside]]:
    """Run the container, and yield the process with the world outside of it."""
    async with container(environ) as (process, address):
        yield process, Outside(address=address, store=store, telnyx=telnyx, now_ms=now_ms)


async def until_draining(outside: Outside, late: Call) -> None:
    """A bad token is refused with its own reason until the container accepts no more sockets."""
    status = 401
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while status == 401:
            with pytest.raises(InvalidStatus) as refusal:
                await outside.dial_in(late, "nonsense")
            status = refusal.value.response.status_code
    assert status == 503


async def until_it_says(process: Process, message: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while message.encode() not in await process.stdout.readline():
            pass


async def test_every_missing_setting_is_named_in_one_line() -> None:
    async with python("-m", "media_bridge", environ={"MODEL_AUDIO": "mp3"}) as process:
        [line] = (await output_of(process)).splitlines()
    assert process.returncode == 1
    for name in ("CALLS_TABLE", "STREAM_TOKEN_SECRET", "Telnyx API key", "OpenAI API key", "mp3"):
        assert name in line


async def test_on_aws_what_is_secret_comes_from_the_secret_alone(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    """The headers for a collector of traces among it."""
    with otlp_receiver() as collector:
        secret = {name: environ[name] for name in PROVIDER_KEYS}
        secret["OTEL_EXPORTER_OTLP_HEADERS"] = "x-api-key=of-the-collector"
        given = {name: value for name, value in environ.items() if name not in secret}
        given["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint
        given["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = environ["AWS_ENDPOINT_URL_DYNAMODB"]
        given["PROVIDER_SECRET_ARN"] = secret_in(environ["AWS_ENDPOINT_URL_DYNAMODB"], secret)
        async with serving_container(given, store, telnyx) as (process, outside):
            phone = await outside.greeted()
            await phone.stop()
            assert await phone.closed() == 1000
            process.send_signal(signal.SIGTERM)
            assert await exit_code(process) == 0
    assert {headers["x-api-key"] for _, headers, _ in collector.requests} == {"of-the-collector"}


async def test_a_secret_that_cannot_be_read_is_told_in_one_line(
    environ: Mapping[str, str],
) -> None:
    address = environ["AWS_ENDPOINT_URL_DYNAMODB"]
    lost = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": address, "PROVIDER_SECRET_ARN": "nowhere"}
    async with python("-m", "media_bridge", environ={**environ, **lost}) as process:
        [line] = (await output_of(process)).splitlines()
    assert process.returncode == 1
    assert line.startswith("media_bridge: ")
    assert "ResourceNotFoundException" in line


SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
NEW_PID_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")


@asynccontextmanager
async def waiting_for_its_secret(
    environ: Mapping[str, str], prefix: Sequence[str] = ()
) -> AsyncIterator[Process]:
    """A process that has requested the secret from a server that never answers."""
    async with bad_server(None) as server:
        given = {
            **environ,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": server.url.replace("ws", "http"),
            "PROVIDER_SECRET_ARN": "somewhere",
        }
        async with python("-m", "media_bridge", environ=given, prefix=prefix) as process:
            await until(lambda: server.requests)
            yield process


@SIGNALS
async def test_a_signal_while_the_secret_is_awaited_ends_the_process(
    environ: Mapping[str, str], number: signal.Signals
) -> None:
    async with waiting_for_its_secret(environ) as process:
        process.send_signal(number)
        assert await exit_code(process) == 0


def only_child(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/task/{process_id}/children").read_text())


@pytest.mark.skipif(
    subprocess.run([*NEW_PID_NAMESPACE, "true"], capture_output=True).returncode != 0,
    reason="only root may create a PID namespace",
)
@SIGNALS
async def test_it_ends_as_pid_1_too_for_which_linux_ignores_unhandled_signals(
    environ: Mapping[str, str], number: signal.Signals
) -> None:
    async with waiting_for_its_secret(environ, NEW_PID_NAMESPACE) as unshare:
        os.kill(only_child(unshare.pid), number)
        assert await exit_code(unshare) == 0


@SIGNALS
async def test_a_signal_during_the_imports_ends_the_process(
    environ: Mapping[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "picows.py").write_text("print('importing', flush=True)\nopen('never')")
    os.mkfifo(tmp_path / "never")  # to open it takes as long as nobody writes
    given = {**environ, "PYTHONPATH": str(tmp_path)}
    async with python("-m", "media_bridge", environ=given, cwd=tmp_path) as process:
        await until_it_says(process, "importing")
        process.send_signal(number)
        assert await exit_code(process) == 0


@SIGNALS
async def test_an_idle_container_ends_when_told_although_dynamodb_never_answers(
    environ: Mapping[str, str], number: signal.Signals
) -> None:
    async with bad_server(None) as server:
        address = server.url.replace("ws", "http")
        async with container({**environ, "AWS_ENDPOINT_URL_DYNAMODB": address}) as (process, _):
            await until(lambda: server.requests)
            process.send_signal(number)
            assert await exit_code(process) == 0


@SIGNALS
async def test_an_idle_container_ends_when_told(
    environ: Mapping[str, str], number: signal.Signals
) -> None:
    async with container(environ) as (process, _):
        process.send_signal(number)
        assert await exit_code(process) == 0


async def test_sigterm_lets_the_calls_end_and_takes_no_more(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    async with serving_container(environ, store, telnyx) as (process, outside):
        phone, late = await outside.greeted(), outside.answered()
        process.send_signal(signal.SIGTERM)
        await until_draining(outside, late)
        await phone.hear()
        await phone.stop()
        assert await phone.closed() == 1000
        assert await exit_code(process) == 0
    record = outside.record(phone.call)
    call = record.call
    assert record.activity.frames_out > 0
    assert call.end_requested_by is None


async def test_sigint_ends_the_calls(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    async with serving_container(environ, store, telnyx) as (process, outside):
        phone = await outside.greeted()
        process.send_signal(signal.SIGINT)
        await until(lambda: outside.was_hung_up(phone.call))
        await phone.stop()
        assert await phone.closed() == 1000
        assert await exit_code(process) == 0
    record = outside.record(phone.call)
    call = record.call
    assert call.end_requested_by is EndedBy.SHUTDOWN
    assert record.activity.frames_out > 0


async def test_what_libraries_say_is_told_in_the_form_of_our_own_log(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    async with serving_container(environ, store, telnyx) as (process, outside):
        phone = await outside.greeted()
        await phone.break_protocol()
        assert await phone.closed() == 1002
        process.send_signal(signal.SIGINT)
        lines = [json.loads(line) for line in (await output_of(process)).splitlines()]
    complaints = [line for line in lines if "WS parser error" in str(line.get("message"))]
    assert {complaint["level"] for complaint in complaints} == {"ERROR"}
    [end] = [line for line in lines if line.get("message") == "phone disconnected"]
    assert (end["call_id"], end["code"]) == (phone.call.call_id, 1002)


async def test_a_second_sigint_in_a_drain_ends_at_once(
    environ: Mapping[str, str], store: DynamoCallStore, telnyx: RecordedTelnyx
) -> None:
    async with serving_container(environ, store, telnyx) as (process, outside):
        phone, late = await outside.greeted(), outside.answered()
        process.send_signal(signal.SIGTERM)
        await until_draining(outside, late)
        process.send_signal(signal.SIGINT)
        await until_it_says(process, "ending calls")
        process.send_signal(signal.SIGINT)
        assert await phone.closed() == 1000, "though nobody stopped the stream"
        assert await exit_code(process) == 0
    record = outside.record(phone.call)
    call = record.call
    assert call.end_requested_by is EndedBy.SHUTDOWN
    assert record.activity.frames_out > 0


async def test_a_task_that_ecs_takes_away_ends_as_soon_as_it_is_empty(
    environ: Mapping[str, str], dynamodb_address: str
) -> None:
    arn = "arn:aws:ecs:us-east-1:123456789012:task/media/1"
    metadata = House(media=(200, json.dumps({"Cluster": "media", "TaskARN": arn}).encode()))
    with opened(metadata), aws_front(dynamodb_address) as front:
        wanted = {"tasks": [{"taskArn": arn, "desiredStatus": "STOPPED"}]}
        front.answer_always("ecs:DescribeTasks", json.dumps(wanted).encode())
        given = {
            "AWS_ENDPOINT_URL_ECS": front.address,
            "ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{metadata.port}",
        }
        command = ("-m", "media_bridge", "--host", "127.0.0.1", "--port", str(free_port()))
        async with python(*command, environ={**environ, **given}) as process:
            assert await exit_code(process) == 0
