"""What only telephones have: keys, answering machines, silence, clocks that run out."""

import pytest

from simulators.audio.speech import CLIPS
from simulators.telnyx.machine import Machine
from tests.support.realtime_oracle import check_client
from tests.support.whole_calls import CONVERSATION, ONE_QUESTION, System, response_requests, said

pytestmark = pytest.mark.asyncio(loop_scope="package")

PRESSES_KEYS, SAYS_NOTHING = "+15550120", "+15550121"


async def test_keys_that_the_caller_presses_are_told_to_the_model_and_answered(
    system: System,
) -> None:
    record = await system.ended(await system.dialled(PRESSES_KEYS))
    assert said(record)[:3] == [
        ("agent", CLIPS[ONE_QUESTION.greeting].text),
        ("caller", "[pressed 1 2 #]"),
        ("agent", CLIPS[ONE_QUESTION.fallback].text),
    ]
    [entry] = [
        frame
        for frame in system.session(PRESSES_KEYS).received
        if frame["type"] == "conversation.item.create"
    ]
    check_client(entry)
    assert entry["item"]["content"][0]["text"] == "The caller pressed 1 2 # on the keypad."
    received = [w for w in system.phone(PRESSES_KEYS).webhooks if w.type == "call.dtmf.received"]
    assert len(received) == 3
    keys = [each for each in record["timeline"] if each["what"] == "call.dtmf.received"]
    assert {each["detail"] for each in keys} == {""}
    for path in system.logs:
        assert "pressed 1" not in path.read_text()


async def test_a_caller_who_says_nothing_is_asked_then_left(system: System) -> None:
    call_id = await system.dialled(SAYS_NOTHING, idle_timeout_seconds=3, idle_prompts=1)
    record = await system.ended(call_id)
    assert (record["outcome"], record["reason"]) == ("completed", "idle")
    asked = [
        request["response"]["instructions"]
        for request in response_requests(system.session(SAYS_NOTHING).received)
        if "response" in request
    ]
    assert ["still there" in each for each in asked] == [True, False]
    greeting, prompt, goodbye = record["turns"]
    assert prompt["started_ms"] - greeting["ended_ms"] >= 3000
    assert goodbye["started_ms"] - prompt["ended_ms"] >= 3000
    assert not goodbye["interrupted"]


MACHINE = "+15550109"


async def test_a_machine_is_hung_up_on(system: System) -> None:
    wished = {"mode": "hang_up", "method": "standard"}
    record = await system.ended(await system.dialled(MACHINE, machine_detection=wished))
    assert (record["outcome"], record["reason"]) == ("voicemail", "machine_detected")
    assert record["answered_by"] == "machine"


@pytest.mark.parametrize("method", ["premium", "standard"])
async def test_a_message_is_left_after_the_beep(system: System, method: str) -> None:
    message = CLIPS["agent_farewell"]
    wished = {"mode": "leave_message", "message": message.text, "method": method}
    record = await system.ended(await system.dialled(MACHINE, machine_detection=wished))
    assert (record["outcome"], record["reason"]) == ("voicemail", "message_left")
    *greeting, left = (turn for turn in record["turns"] if turn["who"] == "agent")
    assert all(turn["interrupted"] for turn in greeting)
    assert (left["text"], left["interrupted"]) == (message.text, False)
    phone = system.phone(MACHINE)
    assert isinstance(phone.conversation, Machine)
    assert phone.conversation.message.clip is message
    assert not phone.media.flagged


async def test_a_human_is_talked_with_while_detection_runs(system: System) -> None:
    human = "+15550124"
    wished = {"mode": "hang_up"}
    record = await system.ended(await system.dialled(human, machine_detection=wished))
    assert (record["outcome"], record["answered_by"]) == ("completed", "human")
    assert said(record) == CONVERSATION
