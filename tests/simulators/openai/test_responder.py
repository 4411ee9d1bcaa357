import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from simulators.audio.speech import CLIP_TEXTS
from simulators.openai.faults import ModelFaults
from simulators.openai.session import ModelSimulatorEvent
from tests.support.realtime_caller import Caller, in_session


async def test_one_response_at_a_time_but_others_beside_the_conversation() -> None:
    async with in_session(burst=20.0) as caller:
        await caller.connection.response.create()
        created = await caller.until("response.created")
        error = await caller.refused(type="response.create", event_id="mine")
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "mine"
        await caller.send(
            type="response.create",
            response={
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"topic": "summary"},
            },
        )
        beside = await caller.until("response.done")
        assert beside["response"]["metadata"] == {"topic": "summary"}
        assert beside["response"]["conversation_id"] is None
        assert beside["response"]["output"][0]["content"][0]["type"] == "output_text"
        spoken = await caller.until("response.done")
        assert spoken["response"]["id"] == created["response"]["id"]


async def out_of_band(caller: Caller) -> Any:
    """Wait for the end of a spoken response without the conversation as its input."""
    request = {
        "conversation": "none",
        "input": [],
        "instructions": f"Say exactly this: {CLIP_TEXTS['agent_filler']}",
        "metadata": {"topic": "clip"},
    }
    await caller.send(type="response.create", response=request)
    return await caller.until("response.done")


async def test_speech_out_of_band_leaves_the_conversation_as_it_was() -> None:
    async with in_session(burst=20.0) as caller:
        await caller.connection.response.create()
        await caller.until("response.done")
        response = (await out_of_band(caller))["response"]
        [item] = response["output"]
        assert item["content"][0]["transcript"] == CLIP_TEXTS["agent_filler"]
        assert response["usage"]["input_token_details"]["audio_tokens"] == 0
        error = await caller.refused(type="conversation.item.retrieve", item_id=item["id"])
        assert error["code"] == "item_retrieve_invalid_item_id"


async def test_a_server_may_not_return_metadata() -> None:
    async with in_session(burst=20.0, faults=ModelFaults(ignores_metadata=True)) as caller:
        response = (await out_of_band(caller))["response"]
        assert response["metadata"] is None


async def test_a_server_may_know_nothing_of_out_of_band_responses() -> None:
    async with in_session(burst=20.0, faults=ModelFaults(ignores_out_of_band=True)) as caller:
        response = (await out_of_band(caller))["response"]
        assert response["conversation_id"] is not None
        assert response["metadata"] == {"topic": "clip"}


async def test_cancel() -> None:
    async with in_session(burst=5.0) as caller:
        error = await caller.refused(type="response.cancel")
        assert error["code"] == "response_cancel_not_active"
        await caller.connection.response.create()
        await caller.until("response.output_audio.delta")
        await caller.connection.response.cancel()
        done = await caller.until("response.done")
        assert done["response"]["status_details"] == {
            "type": "cancelled",
            "reason": "client_cancelled",
        }


async def test_speech_after_a_finished_response_cancels_nothing() -> None:
    async with in_session() as caller:
        await caller.connection.response.create()
        await caller.until("response.done")
        await caller.say("caller_book")
        done = await caller.until("response.done")
        assert done["response"]["status"] == "completed"


async def speak_until_closed(caller: Caller) -> ConnectionClosed:
    await caller.connection.response.create()
    with pytest.raises(ConnectionClosed) as closed:
        await caller.until("response.done")
    return closed.value


async def test_fault_expire() -> None:
    async with in_session(faults=ModelFaults(expire_in_response=1)) as caller:
        closed = await speak_until_closed(caller)
        assert isinstance(closed, ConnectionClosedOK)
        assert caller.frames[-1]["error"]["code"] == "session_expired"
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (
            1001,
            "Your session hit the maximum duration of 60 minutes.",
        )


async def test_fault_close_abruptly() -> None:
    async with in_session(faults=ModelFaults(close_abruptly_in_response=1)) as caller:
        closed = await speak_until_closed(caller)
        assert closed.rcvd is None


async def test_fault_fail_internally() -> None:
    async with in_session(faults=ModelFaults(fail_internally_in_response=1)) as caller:
        closed = await speak_until_closed(caller)
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1011


async def test_fault_stall_keeps_the_socket_open() -> None:
    stalled = asyncio.Event()

    def watch(event: ModelSimulatorEvent) -> None:
        if event.name == "breakdown":
            stalled.set()

    async with in_session(faults=ModelFaults(stall_in_response=1), on_event=watch) as caller:
        async with asyncio.TaskGroup() as tasks:
            closed = tasks.create_task(speak_until_closed(caller))
            await stalled.wait()
            await caller.send(type="response.cancel")
            await (await caller.connection._connection.ping())
            await caller.connection.close()
        assert isinstance(closed.result(), ConnectionClosedOK)
        assert caller.types()[-1] == "response.output_audio.delta"


async def test_fault_non_fatal_error() -> None:
    async with in_session(faults=ModelFaults(non_fatal_error=True)) as caller:
        await caller.connection.response.create()
        assert (await caller.until("error"))["error"]["type"] == "server_error"
        assert (await caller.until("response.done"))["response"]["status"] == "completed"


async def test_fault_unknown_events() -> None:
    """This is the only frame that no published type describes."""
    async with in_session(faults=ModelFaults(unknown_events=True)) as caller:
        await caller.connection.response.create()
        await caller.until("response.created")
        unknown = json.loads(await caller.connection.recv_bytes())
        assert unknown["type"] == "response.output_mood.delta"
        assert (await caller.until("response.done"))["response"]["status"] == "completed"


async def test_fault_fail_responses() -> None:
    async with in_session(faults=ModelFaults(fail_responses=True)) as caller:
        await caller.connection.response.create()
        done = await caller.until("response.done")
        assert done["response"]["status"] == "failed"
        error = done["response"]["status_details"]["error"]
        assert error["code"] == "inference_rate_limit_exceeded"
        assert done["response"]["output"] == []


async def test_fault_silent_responses() -> None:
    async with in_session(faults=ModelFaults(silent_responses=True)) as caller:
        await caller.connection.response.create()
        done = await caller.until("response.done")
        assert (done["response"]["status"], done["response"]["output"]) == ("completed", [])
