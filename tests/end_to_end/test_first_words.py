"""Calls whose first words are made ready while the phone rings, by every kind of callee."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from simulators.audio.speech import CLIPS
from tests.support.realtime_oracle import check_client
from tests.support.whole_calls import (
    CONVERSATION,
    Record,
    System,
    response_requests,
    said,
    whole_system,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITH_DIAL, MADE, KEPT = "+15550151", "+15550152", "+15550153"
BUSY, NO_ANSWER, A_LAW = "+15550101", "+15550102", "+15550105"
STREAM_FAILS, STREAM_CLOSES, NEVER_STREAMS = "+15550131", "+15550132", "+15550112"
NO_START = "+15550113"
WEBHOOKS_TWICE_AND_SWAPPED = "+15550116"
GREETING = CLIPS["agent_opening_hours"].text
ANSWERED = (WITH_DIAL, MADE, KEPT, A_LAW, STREAM_FAILS, STREAM_CLOSES, WEBHOOKS_TWICE_AND_SWAPPED)
SETUPS = {
    **dict.fromkeys((WITH_DIAL, A_LAW), "with_dial"),
    **dict.fromkeys((BUSY, NO_ANSWER, MADE, KEPT, STREAM_FAILS, STREAM_CLOSES), "prepared"),
    **dict.fromkeys((NEVER_STREAMS, NO_START, WEBHOOKS_TWICE_AND_SWAPPED), "prepared"),
}
Records = dict[str, Record]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("first_words")
    async with whole_system(folder, {"MODEL_AUDIO": "g711"}) as system:
        yield system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def records(system: System) -> Records:
    records: Records = {}
    # Few at a time: all of them speak in this process, and a gap would end a sentence.
    for numbers in (
        (WITH_DIAL, MADE, BUSY, NO_ANSWER),
        (A_LAW, KEPT, STREAM_FAILS, NEVER_STREAMS),
        (STREAM_CLOSES, WEBHOOKS_TWICE_AND_SWAPPED, NO_START),
    ):
        called = await asyncio.gather(*(call(system, to, SETUPS[to]) for to in numbers))
        records |= dict(zip(numbers, called, strict=True))
    return records


async def call(system: System, to: str, stream_setup: str) -> Record:
    wanted = {"to": to, "instructions": to, "greeting": GREETING, "stream_setup": stream_setup}
    answer = await system.api.post("/api/ai-calls/create", json=wanted)
    assert answer.status_code == 201, answer.text
    return await system.ended(answer.json()["call_id"])


@pytest.mark.parametrize("number", ANSWERED)
async def test_a_conversation_is_heard_and_recorded_as_it_is_without(
    system: System, records: Records, number: str
) -> None:
    assert records[number]["outcome"] == "completed", records[number]["fault"]
    assert said(records[number]) == CONVERSATION
    heard = [each.clip for each in system.phone(number).conversation.recognitions]
    assert heard == [CLIPS["agent_opening_hours"], CLIPS["agent_what_to_bring"]]
    assert [each.clip for each in system.session(number).recognitions] == [
        CLIPS["caller_what_to_bring"]
    ]


@pytest.mark.parametrize(
    ("number", "streams_started"),
    [
        *((number, 0) for number in (WITH_DIAL, MADE, KEPT, A_LAW)),
        *((number, 1) for number in (STREAM_FAILS, STREAM_CLOSES, NO_START)),
    ],
)
async def test_only_a_stream_that_was_lost_is_asked_for_again(
    system: System, records: Records, number: str, streams_started: int
) -> None:
    commands = system.phone(number).commands
    statuses = [each.status for each in commands if each.name == "streaming_start"]
    # `streaming.stopped` also comes before a hangup: the next stream is requested, and refused.
    assert statuses[:streams_started] == [200] * streams_started
    assert statuses[streams_started:] in ([], [422])


@pytest.mark.parametrize(
    ("number", "outcome", "reason"),
    [
        (BUSY, "busy", "user_busy"),
        (NO_ANSWER, "no_answer", "timeout"),
        (NEVER_STREAMS, "failed", "streaming_failed"),
    ],
)
async def test_a_call_that_nobody_answers_or_that_has_no_stream_says_so(
    records: Records, number: str, outcome: str, reason: str
) -> None:
    record = records[number]
    assert (record["outcome"], record["reason"]) == (outcome, reason)
    assert not record["turns"]


async def test_a_kept_greeting_leaves_with_the_start(records: Records) -> None:
    assert records[KEPT]["activity"]["first_audio_ms"] == 0


async def test_a_kept_greeting_costs_the_model_nothing_and_is_known_to_it(
    system: System, records: Records
) -> None:
    assert not response_requests(system.session(KEPT).received), (
        "the caller's question was answered unasked"
    )
    [item] = [f["item"] for f in system.session(KEPT).received if "item" in f]
    assert item["role"] == "assistant"
    assert [part["text"] for part in item["content"]] == [GREETING]


async def test_nothing_of_it_offends_either_side(system: System, records: Records) -> None:
    for session in system.model.sessions:
        assert session.errors == []
        for frame in session.received:
            check_client(frame)
    assert [each.media.flagged for each in system.telnyx.calls if each.media.flagged] == []
