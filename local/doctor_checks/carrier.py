"""Checks the phone line: asks Telnyx for everything that the settings name. It changes nothing
there."""

import hmac
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding, Problem, healthy, not_asked, problem_found

CLOCK_TOLERANCE_SECONDS = 60
TIMEOUT_SECONDS = 10.0
PUBLIC_KEY_PAGE = "the key at portal.telnyx.com, Keys & Credentials, Public Key"

Data = dict[str, Any]


class TelnyxAccount:
    """What Telnyx reports about the account of a key."""

    def __init__(self, config: DoctorConfig) -> None:
        self._http = httpx.Client(
            base_url=config.telnyx_api_base,
            headers={"Authorization": f"Bearer {config.telnyx_api_key}"},
            timeout=TIMEOUT_SECONDS,
        )

    def __enter__(self) -> "TelnyxAccount":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str) -> httpx.Response:
        return self._http.get(path, params=query)

    def data(self, path: str, **query: str) -> Any:
        """Return `data` of the response, or None if there is no such resource."""
        answer = self.get(path, **query)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        return answer.raise_for_status().json()["data"]

    def change(self, path: str, **fields: str) -> None:
        self._http.patch(path, json=fields).raise_for_status()


def check(config: DoctorConfig, now: float) -> Iterator[Finding]:
    if not config.telnyx_api_key:
        yield problem_found(Problem.TELNYX_KEY_MISSING)
        yield from _settings_without_answer(config)
        return
    with TelnyxAccount(config) as account:
        try:
            yield from _check(config, account, now)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
            yield problem_found(Problem.TELNYX_UNREACHABLE, error)
            yield from _settings_without_answer(config)


def _settings_without_answer(config: DoctorConfig) -> Iterator[Finding]:
    """List the settings of Telnyx when it answers no question about them."""
    yield (
        not_asked("Telnyx application")
        if config.telnyx_connection_id
        else problem_found(Problem.APPLICATION_MISSING)
    )
    yield (
        not_asked("from number")
        if config.telnyx_from_number
        else problem_found(Problem.FROM_NUMBER_MISSING)
    )
    yield (
        not_asked("Telnyx public key")
        if config.telnyx_public_key
        else problem_found(Problem.PUBLIC_KEY_MISSING, PUBLIC_KEY_PAGE)
    )


def _check(config: DoctorConfig, account: TelnyxAccount, now: float) -> Iterator[Finding]:
    balance = account.get("/balance")
    yield _clock(balance, now)
    if balance.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        yield problem_found(Problem.TELNYX_KEY_REFUSED)
        yield from _settings_without_answer(config)
        return
    yield healthy("Telnyx API key")
    yield _credit(balance.raise_for_status().json()["data"])
    yield from _application(config, account)
    yield from _from_number(config, account)
    yield _public_key(config, account)


def _clock(answer: httpx.Response, now: float) -> Finding:
    theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
    off = round(now - theirs)
    return (
        problem_found(Problem.CLOCK_WRONG, off)
        if abs(off) > CLOCK_TOLERANCE_SECONDS
        else healthy("clock")
    )


def _credit(balance: Data) -> Finding:
    credit = balance.get("available_credit") or "0"
    if float(credit) > 0:
        return healthy("Telnyx credit")
    return problem_found(Problem.NO_CREDIT, f"{credit} {balance.get('currency') or ''}".strip())


def _application(config: DoctorConfig, account: TelnyxAccount) -> Iterator[Finding]:
    application_id = config.telnyx_connection_id
    if not application_id:
        yield problem_found(Problem.APPLICATION_MISSING)
        yield not_asked("Telnyx webhook URL, webhook version and outbound voice profile")
        return
    application = account.data(f"/call_control_applications/{application_id}")
    if application is None:
        yield problem_found(Problem.APPLICATION_UNKNOWN, application_id)
        return
    active = application.get("active", True)
    yield healthy("Telnyx application") if active else problem_found(Problem.APPLICATION_INACTIVE)
    yield _webhook_url(application, config)
    yield _webhook_version(application)
    yield _outbound_profile(application, account)


def _webhook_url(application: Data, config: DoctorConfig) -> Finding:
    if not config.has_reachable_url:
        return not_asked("Telnyx webhook URL")
    url = application.get("webhook_event_url")
    is_ours = url == config.webhook_url
    return (
        healthy("Telnyx webhook URL") if is_ours else problem_found(Problem.WEBHOOK_URL_WRONG, url)
    )


def _webhook_version(application: Data) -> Finding:
    version = application.get("webhook_api_version", "2")
    if version == "2":
        return healthy("Telnyx webhook version")
    return problem_found(Problem.WEBHOOK_VERSION_WRONG, version)


def _outbound_profile(application: Data, account: TelnyxAccount) -> Finding:
    profile_id = (application.get("outbound") or {}).get("outbound_voice_profile_id")
    profile = profile_id and account.data(f"/outbound_voice_profiles/{profile_id}")
    if not profile:
        return problem_found(Problem.NO_OUTBOUND_PROFILE)
    if not profile.get("enabled", True):
        return problem_found(Problem.OUTBOUND_PROFILE_DISABLED, profile.get("name") or profile_id)
    countries = ", ".join(profile.get("whitelisted_destinations") or ["none"])
    return healthy(f"Telnyx outbound voice profile (countries: {countries})")


def _from_number(config: DoctorConfig, account: TelnyxAccount) -> Iterator[Finding]:
    wanted = config.telnyx_from_number
    if not wanted:
        yield problem_found(Problem.FROM_NUMBER_MISSING)
        return
    # Characters other than digits "will result in no values being returned" (Telnyx, "List phone
    # numbers").
    found = account.data("/phone_numbers", **{"filter[phone_number]": wanted.removeprefix("+")})
    number = next((each for each in found or () if each.get("phone_number") == wanted), None)
    if number is None:
        verified = account.data(f"/verified_numbers/{wanted}")
        yield (
            healthy("from number (verified)")
            if verified
            else problem_found(Problem.FROM_NUMBER_NOT_OWNED)
        )
    elif number.get("status") != "active":
        yield problem_found(Problem.FROM_NUMBER_INACTIVE, number.get("status"))
    elif not config.telnyx_connection_id:
        yield not_asked("application of the from number")
    elif number.get("connection_id") != config.telnyx_connection_id:
        yield problem_found(Problem.FROM_NUMBER_ELSEWHERE)
    else:
        yield healthy("from number")


def _public_key(config: DoctorConfig, account: TelnyxAccount) -> Finding:
    theirs = account.data("/public_key")["public"]
    if not config.telnyx_public_key:
        return problem_found(Problem.PUBLIC_KEY_MISSING, theirs)
    is_ours = hmac.compare_digest(config.telnyx_public_key, theirs)
    return (
        healthy("Telnyx public key") if is_ours else problem_found(Problem.PUBLIC_KEY_WRONG, theirs)
    )
