import base64
import json

import numpy as np
import pytest
from websockets.asyncio.client import connect

from simulators.audio.speech import CLIPS, recognise
from simulators.openai.faults import ModelFaults
from tests.support.realtime_caller import (
    MODEL,
    PCM,
    PCMU,
    both_sides,
    calling,
    in_session,
    session_settings,
    simulated,
)
from tests.support.realtime_oracle import check_server


async def test_items_come_and_go() -> None:
    async with in_session() as caller:
        text = {"type": "input_text", "text": CLIPS["caller_book"].text}
        message = {"type": "message", "role": "user", "id": "mine", "content": [text]}
        await caller.send(type="conversation.item.create", item=message)
        added = await caller.until("conversation.item.added")
        assert added["item"]["id"] == "mine"
        error = await caller.refused(type="conversation.item.create", item=message)
        assert error["code"] == "item_create_duplicate_item_id"
        await caller.send(type="conversation.item.retrieve", item_id="mine")
        assert (await caller.until("conversation.item.retrieved"))["item"]["content"] == [text]
        await caller.connection.response.create()
        done = await caller.until("response.done")
        assert caller.heard(done["response"]["id"]).clip is CLIPS["agent_which_day"]
        await caller.connection.conversation.item.delete(item_id="mine")
        assert (await caller.until("conversation.item.deleted"))["item_id"] == "mine"
        for action in ("delete", "retrieve"):
            error = await caller.refused(type=f"conversation.item.{action}", item_id="mine")
            assert error["code"] == f"item_{action}_invalid_item_id"


async def test_the_caller_cannot_be_given_a_voice_it_did_not_hear() -> None:
    async with in_session() as caller:
        content = [{"type": "output_audio", "transcript": "Hello"}]
        item = {"type": "message", "role": "assistant", "content": content}
        error = await caller.refused(type="conversation.item.create", item=item)
        assert error["param"] == "item.content[0].type"


async def test_a_callers_item_is_retrieved_with_its_sound() -> None:
    async with in_session() as caller:
        await caller.say("caller_book")
        committed = await caller.until("input_audio_buffer.committed")
        await caller.connection.conversation.item.retrieve(item_id=committed["item_id"])
        item = (await caller.until("conversation.item.retrieved"))["item"]
        sound = np.frombuffer(base64.b64decode(item["content"][0]["audio"]), np.int16)
        assert recognise(sound).clip is CLIPS["caller_book"]


async def test_bad_frames_are_refused_and_the_session_goes_on() -> None:
    async with simulated() as simulator:
        headers = {"Authorization": "Bearer sk-test"}
        async with connect(f"{simulator.url}?model={MODEL}", additional_headers=headers) as socket:
            await socket.recv()
            for frame, code in (
                ("{no json", "invalid_json"),
                ("[]", "invalid_json"),
                (b"binary", "invalid_event"),
                ('{"type":"transcription_session.update"}', "invalid_value"),
                ('{"type":"input_audio_buffer.append","audio":"%%%"}', "invalid_value"),
                ('{"type":"input_audio_buffer.append"}', "missing_required_parameter"),
                (
                    json.dumps({"type": "response.cancel", "event_id": "x" * 513}),
                    "string_above_max_length",
                ),
                (
                    json.dumps(
                        {
                            "type": "input_audio_buffer.append",
                            "audio": base64.b64encode(bytes(15 * 1024 * 1024 + 1)).decode(),
                        }
                    ),
                    "string_above_max_length",
                ),
            ):
                await socket.send(frame)
                error = json.loads(await socket.recv())
                check_server(error)
                assert error["error"]["code"] == code
            await socket.send('{"type":"input_audio_buffer.clear"}')
            assert json.loads(await socket.recv())["type"] == "input_audio_buffer.cleared"


def _append_of(size: int) -> str:
    audio = base64.b64encode(bytes(size)).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


async def test_speech_cancels_a_response_and_the_caller_truncates_it() -> None:
    async with both_sides(burst=8.0) as (caller, session):
        await caller.say("caller_thursday")
        await caller.until("response.output_audio.delta")
        delta = await caller.until("response.output_audio.delta")
        await caller.say("caller_two_is_fine")
        cancelled = await caller.until("response.done")
        assert cancelled["response"]["status_details"]["reason"] == "turn_detected"
        assert cancelled["response"]["output"][0]["status"] == "incomplete"
        assert cancelled["response"]["usage"]["output_tokens"] > 0

        sent_ms = len(caller.audio(cancelled["response"]["id"])) // 8
        too_much = {"item_id": delta["item_id"], "content_index": 0, "audio_end_ms": sent_ms + 1}
        error = await caller.refused(type="conversation.item.truncate", **too_much)
        assert (error["code"], error["param"]) == ("invalid_value", "audio_end_ms")
        await caller.connection.conversation.item.truncate(
            item_id=delta["item_id"], content_index=0, audio_end_ms=100
        )
        truncated = await caller.until("conversation.item.truncated")
        assert truncated["audio_end_ms"] == 100
        (truncation,) = session.truncations
        assert truncation[:2] == (delta["item_id"], 100)
        assert truncation.sent_ms == pytest.approx(sent_ms, abs=1)

        await caller.until("response.done")
        assert [heard.text for heard in session.recognitions] == [
            CLIPS["caller_thursday"].text,
            CLIPS["caller_two_is_fine"].text,
        ]
        assert [(said.clip.name, said.completed) for said in session.said] == [
            ("agent_free_times", False),
            ("agent_booked", True),
        ]


async def test_create_response_off_leaves_the_answer_to_the_client() -> None:
    async with simulated() as simulator, calling(simulator) as caller:
        await caller.update(**session_settings(create_response=False))
        await caller.say("caller_book")
        await caller.until("conversation.item.input_audio_transcription.completed")
        assert "response.created" not in caller.types()


async def test_interrupt_response_off_finishes_first_and_then_answers() -> None:
    async with simulated(burst=40.0) as simulator, calling(simulator) as caller:
        await caller.update(**session_settings(interrupt_response=False))
        await caller.say("caller_thursday")
        await caller.until("response.output_audio.delta")
        await caller.say("caller_book")
        first = await caller.until("response.done")
        second = await caller.until("response.done")
        assert [done["response"]["status"] for done in (first, second)] == ["completed"] * 2
        assert caller.heard(second["response"]["id"]).clip is CLIPS["agent_which_day"]


async def test_fault_refuse_session_update() -> None:
    async with (
        simulated(faults=ModelFaults(refuse_session_update=True)) as simulator,
        calling(simulator) as caller,
    ):
        error = await caller.refused(type="session.update", session=session_settings())
        assert error["type"] == "invalid_request_error"
        assert "session.updated" not in caller.types()


async def test_fault_formats_not_honoured() -> None:
    async with (
        simulated(faults=ModelFaults(formats_not_honoured=True)) as simulator,
        calling(simulator) as caller,
    ):
        updated = await caller.update(**session_settings(PCMU))
        assert updated["session"]["audio"]["output"]["format"] == PCM
        assert updated["session"]["audio"]["input"]["format"] == PCM
