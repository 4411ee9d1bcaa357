import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress

import pytest
from openai import AsyncOpenAI, AuthenticationError, NotFoundError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from simulators.audio.speech import CLIPS
from simulators.openai.faults import ModelFaults
from tests.support.realtime_caller import (
    MODEL,
    PCM,
    PCMA,
    PCMU,
    calling,
    in_session,
    session_settings,
    simulated,
)
from tests.support.realtime_oracle import Frame, check_server


@pytest.mark.parametrize("audio_format", [PCMU, PCMA, PCM], ids=lambda f: str(f["type"]))
async def test_the_official_client_holds_a_conversation(audio_format: Frame) -> None:
    async with in_session(audio_format) as caller:
        await caller.connection.response.create()
        greeting = await caller.until("response.done")
        assert caller.heard(greeting["response"]["id"]).clip is CLIPS["agent_greeting"]

        await caller.say("caller_book")
        heard = await caller.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == CLIPS["caller_book"].text
        reply = await caller.until("response.done")
        assert caller.heard(reply["response"]["id"]).clip is CLIPS["agent_which_day"]
        (item,) = reply["response"]["output"]
        assert item["content"][0]["transcript"] == CLIPS["agent_which_day"].text


async def test_the_session_is_created_with_the_defaults_of_the_wire() -> None:
    async with simulated() as simulator, calling(simulator) as caller:
        session = (await caller.until("session.created"))["session"]
        assert session["model"] == MODEL
        assert session["audio"]["input"]["turn_detection"] == {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        }


@pytest.mark.parametrize(
    ("headers", "query", "error_code", "close_code", "reason"),
    [
        ({}, f"?model={MODEL}", None, 3000, "invalid_request_error"),
        (
            {"Authorization": "Bearer sk-wrong"},
            f"?model={MODEL}",
            "invalid_api_key",
            3000,
            "invalid_request_error.invalid_api_key",
        ),
        (
            {"Authorization": "Bearer sk-test"},
            "?model=gpt-4o",
            "invalid_model",
            4000,
            "invalid_request_error.invalid_model",
        ),
        (
            {"Authorization": "Bearer sk-test"},
            "",
            "missing_model",
            4000,
            "invalid_request_error.missing_model",
        ),
        (
            {"Authorization": "Bearer sk-test", "OpenAI-Beta": "realtime=v1"},
            f"?model={MODEL}",
            "beta_api_shape_disabled",
            4000,
            "invalid_request_error.beta_api_shape_disabled",
        ),
    ],
)
async def test_which_connections_are_refused(
    headers: dict[str, str], query: str, error_code: str | None, close_code: int, reason: str
) -> None:
    async with (
        simulated() as simulator,
        connect(simulator.url + query, additional_headers=headers) as socket,
    ):
        error = json.loads(await socket.recv())
        check_server(error)
        assert error["error"]["code"] == error_code
        with pytest.raises(ConnectionClosedError):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (close_code, reason)


async def test_fault_slow_reader() -> None:
    async with in_session(faults=ModelFaults(slow_reader_ms=5)) as caller:
        await caller.say("caller_book")
        done = await caller.until("response.done")
        assert caller.heard(done["response"]["id"]).clip is CLIPS["agent_which_day"]


@pytest.mark.parametrize("code", [1000, 1012, 4004])
async def test_fault_close_in_response(code: int) -> None:
    faults = ModelFaults(close_in_response=1, close_code=code)
    async with in_session(faults=faults) as caller:
        await caller.connection.response.create()
        with pytest.raises(ConnectionClosed) as closed:
            await caller.until("response.done")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def test_fault_only_in_session() -> None:
    faults = ModelFaults(close_in_response=1, only_in_session=2)
    async with simulated(faults=faults) as simulator:
        for number in (1, 2, 3):
            async with calling(simulator) as caller:
                await caller.update(**session_settings())
                await caller.connection.response.create()
                if number == 2:
                    with pytest.raises(ConnectionClosed):
                        await caller.until("response.done")
                else:
                    await caller.until("response.done")


async def test_a_call_to_a_number_with_a_fault_loses_its_first_session_only() -> None:
    ended = []
    async with simulated() as simulator:
        simulator.expect_call("+15550161")
        for _ in range(2):
            async with calling(simulator) as caller:
                await caller.update(**session_settings())
                await caller.connection.response.create()
                await caller.until("response.done")
                await caller.connection.response.create()
                with suppress(ConnectionClosed):
                    ended.append(await caller.until("response.done"))
    assert len(ended) == 1


async def test_fault_freeze_in_response() -> None:
    faults, headers = ModelFaults(freeze_in_response=1), {"Authorization": "Bearer sk-test"}
    async with (
        simulated(faults=faults) as simulator,
        connect(
            f"{simulator.url}?model={MODEL}", additional_headers=headers, close_timeout=0.1
        ) as socket,
    ):
        await socket.send('{"type": "response.create"}')
        with pytest.raises(TimeoutError):
            await _ping_until_unanswered(socket)


async def _ping_until_unanswered(socket: ClientConnection) -> None:
    while True:
        async with asyncio.timeout(0.5):
            await (await socket.ping())


async def test_fault_busy_upgrades() -> None:
    faults = ModelFaults(busy_upgrades=2, busy_from=2, busy_status=503)
    headers = {"Authorization": "Bearer sk-test"}
    statuses = []
    async with simulated(faults=faults) as simulator:
        for _ in range(4):
            try:
                async with connect(f"{simulator.url}?model={MODEL}", additional_headers=headers):
                    statuses.append(101)
            except InvalidStatus as refused:
                statuses.append(refused.response.status_code)
    assert statuses == [101, 503, 503, 101]


async def test_the_command_line_serves_until_it_is_told_to_stop() -> None:
    command = ("-m", "simulators.openai", "--port", "0", "--fault", "stall_in_response=2")
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with connect(f"{url}?model={MODEL}") as socket:
            error = json.loads(await socket.recv())
        assert error["error"]["message"] == "Missing bearer or basic authentication in header"
    finally:
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
    assert code == 0


async def test_a_model_is_described_to_the_official_client() -> None:
    async with simulated() as simulator:
        simulator.shutdown_dates[MODEL] = "2027-05-01"
        base_url = simulator.url.replace("ws:", "http:").removesuffix("/realtime")
        async with AsyncOpenAI(api_key="sk-test", base_url=base_url) as client:
            assert (await client.models.retrieve(MODEL)).shutdown_date == "2027-05-01"
            assert (await client.models.retrieve("gpt-realtime")).shutdown_date is None
            with pytest.raises(NotFoundError):
                await client.models.retrieve("gpt-4o")
        async with AsyncOpenAI(api_key="sk-wrong", base_url=base_url) as client:
            with pytest.raises(AuthenticationError):
                await client.models.retrieve(MODEL)
