"""What only telephones have: keys, answering machines, silence, clocks that run out."""

import pytest

from realtime_oracle import check_client
from simulators.speech import CLIPS
from whole_calls import ONE_QUESTION, System, said

pytestmark = pytest.mark.asyncio(loop_scope="package")

PRESSES_KEYS = "+15550120"


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
