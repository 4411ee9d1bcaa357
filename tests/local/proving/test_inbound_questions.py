"""The question about an inbound call, asked of a simulator that gives each possible answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace

import pytest

from application_webhook import WebhookNotSet
from aws.stack import free_port
from doctor_checks.config import DoctorConfig
from prove import ask_line
from proving.line import Waits
from proving.questions import QUESTIONS, UNCLEAR, ProviderAnswer
from simulators.scenario import NOT_A_WORD
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.server import TelnyxSimulator
from simulators.telnyx.undocumented import Undocumented

OURS, CALLER = "+15550199", "+15550142"
SOON = Waits(inbound=5, answer=0.5, socket=2, news=3, retries=0, lookups=(0,))


@asynccontextmanager
async def untouched_webhook() -> AsyncIterator[None]:
    raise WebhookNotSet("Telnyx does not know the application")
    yield


async def answer_of(faults: CarrierFaults, *, calls: bool = True) -> ProviderAnswer:
    """Return the first answer. A person calls our number meanwhile, and is busy after that."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    caller = Person(NOT_A_WORD, hangs_up=False, silence_timeout_ms=600_000)
    busy = replace(caller, refuses="busy")
    async with TelnyxSimulator(
        person=busy, faults=faults, webhook_url=f"{url}/webhooks/telnyx"
    ) as phone:
        config = DoctorConfig.from_env(
            {
                "TELNYX_API_BASE": phone.api_base,
                "TELNYX_API_KEY": "KEY-test",
                "TELNYX_PUBLIC_KEY": phone.public_key,
                "TELNYX_CONNECTION_ID": "42",
                "TELNYX_FROM_NUMBER": OURS,
                "BASE_PUBLIC_URL": url,
            }
        )
        waits = SOON if calls else replace(SOON, inbound=0.1)
        asking = ask_line(config, CALLER, port, waits, nullcontext())
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(_all(asking))
            if calls:
                await phone.ring(to=OURS, from_=CALLER, person=caller)
        assert all(call.state == "ended" for call in phone.calls)
    first, second = asked.result()[:2]
    assert second.question == "dial_repeated", "the call of the test follows"
    assert first.answer in QUESTIONS["answer_token"].answers
    return first


async def _all(asking: AsyncIterator[ProviderAnswer]) -> list[ProviderAnswer]:
    return [each async for each in asking]


@pytest.mark.parametrize("place", ["absent", "header"])
async def test_the_token_of_an_answer(place: str) -> None:
    undocumented = Undocumented(answer_has_token="header" if place == "header" else "absent")
    assert (await answer_of(CarrierFaults(undocumented=undocumented))).answer == place


async def test_a_stream_that_does_not_open() -> None:
    assert (await answer_of(CarrierFaults(streaming_fails=True))).answer == "no_socket"


async def test_nobody_calls() -> None:
    assert (await answer_of(CarrierFaults(), calls=False)).answer == "no_call"


async def test_a_webhook_that_cannot_be_set_leaves_the_question_open() -> None:
    async with TelnyxSimulator(person=Person(NOT_A_WORD)) as phone:
        config = DoctorConfig.from_env(
            {
                "TELNYX_API_BASE": phone.api_base,
                "TELNYX_API_KEY": "KEY-wrong",
                "TELNYX_PUBLIC_KEY": phone.public_key,
                "TELNYX_CONNECTION_ID": "42",
                "TELNYX_FROM_NUMBER": OURS,
                "BASE_PUBLIC_URL": "http://127.0.0.1:9",
            }
        )
        asking = ask_line(config, CALLER, free_port(), SOON, untouched_webhook())
        findings = [finding async for finding in asking]
    assert (findings[0].question, findings[0].answer) == ("answer_token", UNCLEAR)
    assert findings[1].question == "dial_repeated", "the call is made all the same"
