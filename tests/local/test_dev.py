"""What the banner of `make dev` says. `end_to_end/test_dev.py` runs the program."""

from pathlib import Path

import pytest

from aws.stack import LocalStack, Plan
from dev import welcome
from real_phone import REAL_PHONE, missing_for_real_phone
from simulators.scenario import ECHO
from simulators.telnyx.behaviour import Person
from simulators.telnyx.server import TelnyxSimulator

COMPLETE = dict.fromkeys(REAL_PHONE, "given") | {"BASE_PUBLIC_URL": "https://phone.example"}
URL = "http://127.0.0.1:3000"


def banner(given: dict[str, str], telnyx: TelnyxSimulator | None = None) -> str:
    folder = Path("/tmp/build")
    plan = Plan(3000, ECHO, True, 1000, log=folder / "dev.log", state=folder / "dev-state")
    return welcome(LocalStack(URL, telnyx, None, given), given, plan)


@pytest.mark.parametrize("absent", REAL_PHONE)
def test_each_setting_that_a_real_phone_needs_is_missed(absent: str) -> None:
    assert missing_for_real_phone(COMPLETE) == []
    assert missing_for_real_phone(COMPLETE | {absent: ""}) == [absent]


@pytest.mark.parametrize("url", ["http://127.0.0.1:3000", "http://localhost", "http://[::1]:3000"])
def test_an_address_of_this_machine_is_none_for_a_phone_network(url: str) -> None:
    [missing] = missing_for_real_phone(COMPLETE | {"BASE_PUBLIC_URL": url})
    assert missing.startswith("BASE_PUBLIC_URL")


def test_the_banner_names_the_address_and_what_is_missing() -> None:
    telnyx = TelnyxSimulator(person=Person(ECHO))
    text = banner({"TELNYX_FROM_NUMBER": "+15550100"}, telnyx)
    assert URL in text
    assert "phone  simulated" in text
    for name in REAL_PHONE:
        assert (name in text) == (name != "TELNYX_FROM_NUMBER")


def test_the_banner_of_real_providers_points_to_the_doctor() -> None:
    text = banner(COMPLETE | {"OPENAI_API_KEY": "sk-given"})
    assert "simulated" not in text
    assert "make doctor" in text
    assert "api.openai.com" in text


def test_an_empty_key_of_the_model_is_told() -> None:
    assert "OPENAI_API_KEY is empty" in banner(COMPLETE | {"OPENAI_API_KEY": ""})
