"""An afternoon at one container: calls of every kind, many at once, and what became of each.

A number stands for what happens on a call to it (`simulators/telnyx.py`)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from phonebridge.call.call import MAX_STREAMS
from simulators.audio.speech import CLIPS
from tests.support.realtime_oracle import check_client
from tests.support.whole_calls import CONVERSATION, Record, System, said

pytestmark = pytest.mark.asyncio(loop_scope="package")

ORDINARY = "+15550123"
BUSY, NO_ANSWER, REJECTED = "+15550101", "+15550102", "+15550103"
FORBIDDEN, INVALID, RATE_LIMITED = "+15550104", "+15550111", "+15550107"
FAILS_TWICE, NEVER_ANSWERS = "+15550108", "+15550110"
A_LAW = "+15550105"
STREAMING_REFUSED, STREAMING_FAILS = "+15550106", "+15550112"
NO_START, SILENT_FOR_EVER = "+15550113", "+15550114"
WEBHOOKS_TWICE_AND_SWAPPED = "+15550116"
LOSSY = "+15550117"
CLOSES_WITHOUT_STOP, SECOND_SOCKET = "+15550118", "+15550119"
CARRIED = (ORDINARY, A_LAW, FAILS_TWICE, WEBHOOKS_TWICE_AND_SWAPPED, LOSSY, SECOND_SOCKET)
OTHERS = (
    BUSY, NO_ANSWER, REJECTED, FORBIDDEN, INVALID, STREAMING_REFUSED, STREAMING_FAILS, NO_START,
    SILENT_FOR_EVER, CLOSES_WITHOUT_STOP, RATE_LIMITED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Story:
    status: int
    """The status of the response to `create`."""
    answer: Any
    record: Record


Afternoon = Mapping[str, Story]


async def followed(system: System, answer: httpx.Response) -> Story:
    body = answer.json()
    if answer.status_code != 201:
        call_id = body["error"]["details"]["call_id"]
        return Story(answer.status_code, body, await system.ended(call_id))
    return Story(answer.status_code, body, await system.ended(body["call_id"]))


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def afternoon(system: System) -> Afternoon:
    # Without the others: all of them speak in this process, and a gap would end a sentence.
    stories = await followed_to_the_end(system, CARRIED)
    stories |= await followed_to_the_end(system, OTHERS)
    # Alone, for on this machine the requests of the API wait for each other.
    return stories | await followed_to_the_end(system, (NEVER_ANSWERS,))


async def followed_to_the_end(system: System, numbers: tuple[str, ...]) -> dict[str, Story]:
    answers = await asyncio.gather(*(system.create(number) for number in numbers))
    stories = await asyncio.gather(*(followed(system, answer) for answer in answers))
    return dict(zip(numbers, stories, strict=True))


@pytest.mark.parametrize("number", CARRIED)
async def test_a_conversation_is_heard_and_recorded_whatever_the_line_is_like(
    system: System, afternoon: Afternoon, number: str
) -> None:
    story = afternoon[number]
    assert (story.status, story.record["outcome"]) == (201, "completed")
    assert said(story.record) == CONVERSATION
    heard = [each.clip for each in system.phone(number).conversation.recognitions]
    assert heard == [CLIPS["agent_opening_hours"], CLIPS["agent_what_to_bring"]]
    assert [each.clip for each in system.session(number).recognitions] == [
        CLIPS["caller_what_to_bring"]
    ]


@pytest.mark.parametrize(
    ("number", "outcome", "reason"),
    [
        (BUSY, "busy", "user_busy"),
        (NO_ANSWER, "no_answer", "timeout"),
        (REJECTED, "rejected", "call_rejected"),
        (STREAMING_REFUSED, "failed", "streaming_start_failed"),
        (STREAMING_FAILS, "failed", "streaming_failed"),
        (NO_START, "failed", "no_media_start"),
        (CLOSES_WITHOUT_STOP, "completed", "callee_hung_up"),
        (SILENT_FOR_EVER, "completed", "callee_hung_up"),
    ],
)
async def test_a_call_that_goes_otherwise_ends_with_its_reason(
    system: System, afternoon: Afternoon, number: str, outcome: str, reason: str
) -> None:
    story = afternoon[number]
    assert story.status == 201
    assert (story.record["outcome"], story.record["reason"]) == (outcome, reason)


@pytest.mark.parametrize("number", [STREAMING_REFUSED, STREAMING_FAILS, NO_START])
async def test_what_fails_on_our_side_is_hung_up_at_telnyx(
    system: System, afternoon: Afternoon, number: str
) -> None:
    commands = system.phone(number).commands
    assert [each.status for each in commands if each.name == "hangup"] == [200]


@pytest.mark.parametrize(
    ("number", "code"),
    [(FORBIDDEN, "10010"), (INVALID, "10015"), (RATE_LIMITED, "10011"), (NEVER_ANSWERS, None)],
)
async def test_a_dial_that_telnyx_does_not_carry_out_is_answered_in_its_words(
    system: System, afternoon: Afternoon, number: str, code: str | None
) -> None:
    story = afternoon[number]
    assert story.status == 502
    assert story.answer["error"]["details"].get("code") == code
    assert (story.record["outcome"], story.record["reason"]) == ("failed", "dial_failed")
    assert not system.phones(number)


async def test_a_stream_that_telnyx_cannot_open_is_asked_for_as_often_as_a_call_may_have_streams(
    system: System, afternoon: Afternoon
) -> None:
    commands = system.phone(STREAMING_FAILS).commands
    starts = [each.command_id for each in commands if each.name == "streaming_start"]
    assert len(starts) == len(set(starts)) == MAX_STREAMS


async def test_a_refused_stream_is_logged_with_its_reason(
    system: System, afternoon: Afternoon
) -> None:
    call_id = afternoon[STREAMING_REFUSED].answer["call_id"]
    failed = [each for each in system.log_lines() if each["message"] == "streaming_start FAILED"]
    lines = [each for each in failed if each["call_id"] == call_id]
    assert lines  # more than one if a busy machine has the webhook delivered again
    assert all("422" in line["reason"] for line in lines)


async def test_a_call_is_dialled_once_however_often_it_takes(
    system: System, afternoon: Afternoon
) -> None:
    dials = [each for each in system.telnyx.dials if each.body["to"] == FAILS_TWICE]
    assert [each.status for each in dials] == [500, 500, 200]
    assert len({each.command_id for each in dials}) == 1
    assert len(system.phones(FAILS_TWICE)) == 1


async def test_every_frame_to_the_model_is_one_of_the_official_client(
    system: System, afternoon: Afternoon
) -> None:
    frames = [frame for session in system.model.sessions for frame in session.received]
    assert len(frames) > 1000
    for frame in frames:
        check_client(frame)
    assert not [error for session in system.model.sessions for error in session.errors]


async def test_no_frame_to_the_phone_is_flagged(system: System, afternoon: Afternoon) -> None:
    assert [call.media.flagged for call in system.telnyx.calls if call.media.flagged] == []


async def test_every_webhook_was_taken(system: System, afternoon: Afternoon) -> None:
    deliveries = [each.statuses for call in system.telnyx.calls for each in call.webhooks]
    # None: not answered within two seconds, which a busy machine may take; it is delivered again.
    assert {status for statuses in deliveries for status in statuses} <= {200, None}
    assert {statuses[-1] for statuses in deliveries} == {200}


async def test_the_logs_tell_of_each_call_and_show_no_number(
    system: System, afternoon: Afternoon
) -> None:
    calls = {story.record["call_id"] for story in afternoon.values()}
    by_call: dict[str, set[str]] = {}
    for line in system.log_lines():
        by_call.setdefault(line.get("call_id", ""), set()).add(line["message"])
    assert calls <= set(by_call)
    ordinary = by_call[afternoon[ORDINARY].record["call_id"]]
    assert ordinary >= {
        "webhook received",
        "call status changed",
        "media socket accepted",
        "model connected",
        "model session ready",
        "media stream started",
        "media stream ended",
        "model disconnected",
    }
    for path in system.logs:
        assert "+1555" not in path.read_text()
