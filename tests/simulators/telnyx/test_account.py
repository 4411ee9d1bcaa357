"""The account as the official SDK sees it."""

import base64

import pytest
import telnyx

from simulators.scenario import SCENARIOS
from simulators.telnyx.account import CONNECTION_ID, PROFILE_ID, OwnedNumber
from simulators.telnyx.behaviour import Person
from tests.support.telnyx_counterpart import exchange

PERSON = Person(SCENARIOS["short"], answers_after_ms=0)


async def test_the_sdk_reads_an_application() -> None:
    async with exchange(PERSON) as phone:
        answer = await phone.sdk.call_control_applications.retrieve(CONNECTION_ID)
        with pytest.raises(telnyx.NotFoundError):
            await phone.sdk.call_control_applications.retrieve("1")
    application = answer.data
    assert application is not None
    assert application.outbound is not None
    assert (application.id, application.active) == (CONNECTION_ID, True)
    assert application.webhook_api_version == "2"
    assert application.outbound.outbound_voice_profile_id == PROFILE_ID


async def test_the_sdk_changes_where_webhooks_go() -> None:
    async with exchange(PERSON) as phone:
        await phone.sdk.call_control_applications.update(
            CONNECTION_ID,
            application_name="phonebridge",
            webhook_event_url="https://api.example.com/webhooks/telnyx",
            webhook_api_version="1",
        )
        answer = await phone.sdk.call_control_applications.retrieve(CONNECTION_ID)
    assert answer.data is not None
    assert answer.data.webhook_event_url == "https://api.example.com/webhooks/telnyx"
    assert answer.data.webhook_api_version == "1"


@pytest.mark.parametrize(
    "update",
    [
        {"webhook_event_url": "https://api.example.com/webhooks/telnyx"},
        {"application_name": "phonebridge", "webhook_event_url": "api.example.com"},
    ],
)
async def test_an_update_must_name_the_application_and_a_whole_url(update: object) -> None:
    async with exchange(PERSON) as phone:
        path = f"/call_control_applications/{CONNECTION_ID}"
        answer = await phone.http.patch(path, json=update)
        assert answer.status_code == 422
        other = await phone.http.patch(
            "/call_control_applications/1",
            json={"application_name": "x", "webhook_event_url": "https://x.example"},
        )
        assert other.status_code == 404


async def test_the_sdk_reads_profile_numbers_and_credit() -> None:
    async with exchange(PERSON) as phone:
        phone.simulator.account.numbers["+15550101"] = OwnedNumber("purchase-pending", None)
        phone.simulator.account.verified_numbers.add("+15550142")
        profile = await phone.sdk.outbound_voice_profiles.retrieve(PROFILE_ID)
        numbers = await phone.sdk.phone_numbers.list(filter={"phone_number": "15550101"})
        with_plus = await phone.sdk.phone_numbers.list(filter={"phone_number": "+15550101"})
        verified = await phone.sdk.verified_numbers.retrieve("+15550142")
        balance = await phone.sdk.balance.retrieve()
        for missing in (
            phone.sdk.verified_numbers.retrieve("+15550143"),
            phone.sdk.outbound_voice_profiles.retrieve("1"),
        ):
            with pytest.raises(telnyx.NotFoundError):
                await missing
    assert profile.data is not None
    assert profile.data.enabled is True
    assert numbers.data is not None
    assert with_plus.data == []
    [number] = numbers.data
    assert (number.phone_number, number.status) == ("+15550101", "purchase-pending")
    assert verified.data is not None
    assert verified.data.phone_number == "+15550142"
    assert balance.data is not None
    assert balance.data.available_credit == "25.00"


async def test_the_public_key_is_the_one_that_signs() -> None:
    async with exchange(PERSON) as phone:
        answer = await phone.http.get("/public_key")
        assert answer.json()["data"]["public"] == phone.simulator.public_key
    assert len(base64.b64decode(phone.simulator.public_key)) == 32
