"""Which numbers may be dialled. This module is pure.

A stolen API key does most damage where calls are expensive. Premium numbers pay a share to their
owner, and satellite networks charge dollars per minute. The rule applies to every number that a
call may reach: the callee and the targets of transfers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from urllib.parse import urlsplit

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberDesc, PhoneNumberType

from phonebridge.call.config import CallConfig
from phonebridge.errors import DestinationNotAllowed
from phonebridge.settings import ControlSettings

DEAR = {
    PhoneNumberType.PREMIUM_RATE: "a premium number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number, which costs as much as a premium one",
    PhoneNumberType.PAGER: "a pager",
}
# ITU-T E.164, "List of assigned country codes": codes of no country. 800 (freephone) costs nothing.
DEAR_CODES = {
    808: "a shared-cost number",
    870: "a satellite number",
    878: "a personal number, which costs as much as a premium one",
    881: "a satellite number",
    882: "a number of an international network, satellites among them",
    883: "a number of an international network, satellites among them",
    979: "a premium number",
}
_NUMBER_BY_SIP = re.compile(r"sips?:(\+?)([1-9][0-9]{6,14})@([^;?:]+).*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DestinationRule:
    regions: frozenset[str] | None
    """Regions by ISO 3166-1 code. None means every region."""
    prefixes: frozenset[str]
    """Numbers with these prefixes are allowed, whatever they cost. Each prefix begins with `+`."""


def check_destination(number: str, rule: DestinationRule) -> None:
    """Raise `DestinationNotAllowed`. A SIP address passes unless it stands for a number."""
    number = _number_in(number)
    if not number or any(number.startswith(each) for each in rule.prefixes):
        return
    parsed = _parse(number)
    if kind := _dear_kind(parsed):
        raise DestinationNotAllowed(number, f"it is {kind}")
    if rule.regions is None:
        return
    region = _region_of(parsed)
    if region is None:
        raise DestinationNotAllowed(number, "no region is known to have assigned it")
    if region not in rule.regions:
        allowed = ", ".join(sorted(rule.regions)) or "no region"
        raise DestinationNotAllowed(number, f"it is in {region}; allowed are {allowed}")


def numbers_of(config: CallConfig, *others: str) -> tuple[str, ...]:
    """Return the numbers that a call with these settings may reach, and `others`."""
    fallback = config.fallback.transfer_to if config.fallback else None
    targets = (each.to for each in config.tools.destinations)
    return (*others, *targets, *((fallback,) if fallback else ()))


def check_destinations(numbers: Iterable[str], settings: ControlSettings) -> None:
    """Check the numbers against the settings of the deployment. Raises `DestinationNotAllowed`."""
    rule = rule_of(settings)
    for number in numbers:
        check_destination(number, rule)


def rule_of(settings: ControlSettings) -> DestinationRule:
    """Build the rule from the settings. Without a list, calls may go to the region of our own
    number. With a simulated carrier, only expensive numbers are refused."""
    given = settings.allowed_destinations
    prefixes = frozenset(each for each in given if each.startswith("+"))
    regions = given - prefixes
    if not regions and is_simulated(settings.telnyx_api_base):
        return DestinationRule(None, prefixes)
    return DestinationRule(regions or _home_regions(settings.telnyx_from_number), prefixes)


@cache
def is_simulated(telnyx_api_base: str) -> bool:
    """Return whether the carrier runs on this machine."""
    host = urlsplit(telnyx_api_base).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _number_in(target: str) -> str:
    """Return the telephone number in a target, if there is one. The carrier's own SIP servers, and
    many others, dial the number in front of the `@`."""
    if target.startswith("+"):
        return target
    if found := _NUMBER_BY_SIP.fullmatch(target):
        plus, digits, host = found.groups()
        return f"+{digits}" if plus or host.lower().endswith("telnyx.com") else ""
    return ""


def _parse(number: str) -> PhoneNumber:
    try:
        return phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException as error:
        raise DestinationNotAllowed(number, f"it is no telephone number ({error})") from error


def _home_regions(from_number: str) -> frozenset[str]:
    """Return the region of our number, or all regions of its country code if the number belongs to
    none."""
    if not from_number:
        return frozenset()
    try:
        number = _parse(from_number)
    except DestinationNotAllowed:
        return frozenset()
    region = _region_of(number) or phonenumbers.region_code_for_country_code(
        number.country_code or 0
    )
    return frozenset({region}) if region else frozenset()


def _dear_kind(number: PhoneNumber) -> str | None:
    if kind := DEAR_CODES.get(number.country_code or 0):
        return kind
    if (of_type := phonenumbers.number_type(number)) != PhoneNumberType.UNKNOWN:
        return DEAR.get(of_type)
    return "a premium or shared-cost number, by how it begins" if _begins_dear(number) else None


def _begins_dear(number: PhoneNumber) -> bool:
    """Return whether an invalid number begins like an expensive one. A carrier may dial a number
    that has too few or too many digits."""
    digits = phonenumbers.national_significant_number(number)
    for region in phonenumbers.region_codes_for_country_code(number.country_code or 0):
        metadata = PhoneMetadata.metadata_for_region(region, None)
        for kind in (metadata.premium_rate, metadata.shared_cost) if metadata else ():
            if kind and any(_could_become(digits, kind, length) for length in kind.possible_length):
                return True
    return False


def _could_become(digits: str, kind: PhoneNumberDesc, length: int) -> bool:
    """Return whether a number of this kind and length can begin with the digits."""
    filled = (digits[:length].ljust(length, filler) for filler in "0123456789")
    return any(re.fullmatch(kind.national_number_pattern or "", each) for each in filled)


def _region_of(number: PhoneNumber) -> str | None:
    """Return the region of a number, or None if it is not known to be assigned to a region."""
    region = phonenumbers.region_code_for_number(number)
    return str(region) if region else None
