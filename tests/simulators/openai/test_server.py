import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE

import pytest
from openai import AsyncOpenAI, AuthenticationError, NotFoundError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from simulators.audio.speech import CLIPS
from simulators.openai.faults import ModelFaults
from tests.support.realtime_caller import MODEL, PCM, PCMA, PCMU, calling, in_session, simulated
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
async def test_who_is_turned_away(
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
