"""Which numbers may be dialled, by their region and their kind."""

from dataclasses import replace

import pytest

from control_plane.destinations import (
    DestinationRule,
    check_destination,
    check_destinations,
    is_simulated,
    rule_of,
)
from phonebridge.errors import DestinationNotAllowed
from phonebridge.settings import ControlSettings

EVERYWHERE = DestinationRule(None, frozenset())
REAL = "https://api.telnyx.com/v2"
SIMULATED = "http://127.0.0.1:9500/v2"


def settings(*allowed: str, base: str = REAL, from_number: str = "+12025550123") -> ControlSettings:
    environ = {
        "CALLS_TABLE": "calls",
        "BASE_PUBLIC_URL": "https://api.example.com",
        "TELNYX_API_BASE": base,
        "TELNYX_FROM_NUMBER": from_number,
        "ALLOWED_DESTINATIONS": ",".join(allowed),
    }
    return ControlSettings.from_env(environ)


def refusal(number: str, given: ControlSettings) -> str:
    with pytest.raises(DestinationNotAllowed) as refused:
        check_destinations([number], given)
    return str(refused.value)


# Kinds of numbers, in the form of the numbering plan of each region.
DEAR = {
    "US premium": "+19005550100",
    "UK premium": "+449098790000",
    "UK premium, a digit short": "+44909879000",
    "UK personal": "+447010000000",
    "UK shared cost": "+448431234567",
    "UK pager": "+447600123456",
    "FR premium": "+33899123456",
    "DE premium": "+499001234567",
    "DE premium, too short": "+4990012345",
    "IT premium": "+39899123456",
    "ES premium": "+34806123456",
    "AT premium": "+43900123456",
    "CH premium": "+41900123456",
    "PL premium": "+48701234567",
    "JP premium": "+81990123456",
    "AU premium": "+611900123456",
    "Inmarsat": "+870773123456",
    "Iridium": "+881612345678",
    "Globalstar": "+8818123456789",
    "Thuraya": "+88216123456789",
    "international network": "+88213123456",
    "international network, other": "+8835100012345",
    "international premium": "+979123456789",
    "international shared cost": "+80812345678",
    "universal personal": "+87839012345678",
}


@pytest.mark.parametrize("number", DEAR.values(), ids=DEAR)
def test_dear_numbers_are_refused_with_every_carrier(number: str) -> None:
    with pytest.raises(DestinationNotAllowed, match="may not be called"):
        check_destination(number, EVERYWHERE)


@pytest.mark.parametrize("number", DEAR.values(), ids=DEAR)
def test_dear_numbers_may_be_called_once_they_are_listed(number: str) -> None:
    check_destination(number, DestinationRule(frozenset(), frozenset({number[:8]})))


@pytest.mark.parametrize(
    "number",
    ["+1234567890", "+15550100", "+15550199", "+12025550123", "+493012345", "+37167000000"],
)
def test_with_a_simulated_carrier_every_other_number_may_be_called(number: str) -> None:
    check_destinations([number], settings(base=SIMULATED))


@pytest.mark.parametrize(
    ("from_number", "allowed", "refused"),
    [
        ("+12025550123", "+16502530000", "+442071838750"),
        ("+12025550123", "+16502530000", "+18765551234"),  # Jamaica has country code 1, too
        ("+442071838750", "+442083661177", "+33142685300"),
        ("+493012345", "+491701234567", "+431234567"),
        ("+15550100", "+16502530000", "+37167000000"),  # itself in no region
    ],
)
def test_by_default_the_region_of_our_own_number_may_be_called(
    from_number: str, allowed: str, refused: str
) -> None:
    given = settings(from_number=from_number)
    check_destinations([allowed], given)
    assert "; allowed are " in refusal(refused, given)


def test_without_a_number_of_our_own_nobody_may_be_called_until_regions_are_listed() -> None:
    assert "allowed are no region" in refusal("+16502530000", settings(from_number=""))
    check_destinations(["+16502530000"], settings("US", from_number=""))


def test_listed_regions_replace_the_default() -> None:
    given = settings("GB", "DE")
    check_destinations(["+442071838750", "+493012345"], given)
    assert "it is in US; allowed are DE, GB" in refusal("+16502530000", given)


def test_a_list_of_beginnings_alone_leaves_the_default_region() -> None:
    given = settings("+3716700")
    check_destinations(["+37167000000", "+16502530000"], given)
    assert "it is in LV" in refusal("+37167100000", given)


def test_a_list_of_regions_holds_with_a_simulated_carrier_too() -> None:
    assert "it is in GB" in refusal("+442071838750", settings("US", base=SIMULATED))


@pytest.mark.parametrize("number", ["+15550100", "+1234567890", "+9991234567", "+61190012345"])
def test_a_number_that_no_region_has_assigned_is_refused_by_a_real_carrier(number: str) -> None:
    assert "may not be called" in refusal(number, settings("US", "AU"))


def test_a_sip_address_is_no_number() -> None:
    check_destinations(["sip:desk@example.com", "sips:100123456@pbx.example"], settings())


@pytest.mark.parametrize(
    "address",
    [
        "sip:+19005550100@sip.telnyx.com",
        "sip:19005550100@sip.telnyx.com:5060;transport=tls",
        "SIPS:+449098790000@gateway.example",
    ],
)
def test_a_sip_address_that_stands_for_a_number_is_one(address: str) -> None:
    assert "it is a premium number" in refusal(address, settings("US", "GB"))


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (SIMULATED, True),
        ("http://localhost:9500", True),
        ("http://[::1]:9500", True),
        (REAL, False),
        ("https://127.0.0.1.example.com", False),
    ],
)
def test_a_carrier_on_this_machine_is_simulated(base: str, expected: bool) -> None:
    assert is_simulated(base) is expected


def test_the_rule_is_that_of_the_settings() -> None:
    given = replace(settings(), allowed_destinations=frozenset({"US", "+4490"}))
    assert rule_of(given) == DestinationRule(frozenset({"US"}), frozenset({"+4490"}))
