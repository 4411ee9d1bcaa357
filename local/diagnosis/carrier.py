"""Is there a phone line? Asks Telnyx for what the settings name, and changes nothing there."""

import hmac
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from diagnosis.ailments import Ailment, Finding, ill, well
from diagnosis.subject import Subject

CLOCK_TOLERANCE_SECONDS = 60
PATIENCE_SECONDS = 10.0

Data = dict[str, Any]


class Account:
    """What Telnyx tells of the account that a key belongs to."""

    def __init__(self, subject: Subject) -> None:
        self._http = httpx.Client(
            base_url=subject.telnyx_api_base,
            headers={"Authorization": f"Bearer {subject.telnyx_api_key}"},
            timeout=PATIENCE_SECONDS,
        )

    def __enter__(self) -> "Account":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: str) -> httpx.Response:
        return self._http.get(path, params=query)

    def data(self, path: str, **query: str) -> Any:
        """`data` of the answer; None where there is no such thing."""
        answer = self.get(path, **query)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        return answer.raise_for_status().json()["data"]

    def change(self, path: str, **fields: str) -> None:
        self._http.patch(path, json=fields).raise_for_status()


def examine(subject: Subject, now: float) -> Iterator[Finding]:
    if not subject.telnyx_api_key:
        yield ill(Ailment.TELNYX_KEY_MISSING)
        return
    with Account(subject) as account:
        try:
            yield from _examine(subject, account, now)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
            yield ill(Ailment.TELNYX_UNREACHABLE, error)


def _examine(subject: Subject, account: Account, now: float) -> Iterator[Finding]:
    balance = account.get("/balance")
    yield _clock(balance, now)
    if balance.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        yield ill(Ailment.TELNYX_KEY_REFUSED)
        return
    yield well("Telnyx API key")
    yield _credit(balance.raise_for_status().json()["data"])
    yield from _application(subject, account)
    yield from _from_number(subject, account)
    yield _public_key(subject, account)


def _clock(answer: httpx.Response, now: float) -> Finding:
    theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
    off = round(now - theirs)
    return ill(Ailment.CLOCK_WRONG, off) if abs(off) > CLOCK_TOLERANCE_SECONDS else well("clock")


def _credit(balance: Data) -> Finding:
    left = balance.get("available_credit") or "0"
    if float(left) > 0:
        return well("Telnyx credit")
    return ill(Ailment.NO_CREDIT, f"{left} {balance.get('currency') or ''}".strip())


def _application(subject: Subject, account: Account) -> Iterator[Finding]:
    application_id = subject.telnyx_connection_id
    if not application_id:
        yield ill(Ailment.APPLICATION_MISSING)
        return
    application = account.data(f"/call_control_applications/{application_id}")
    if application is None:
        yield ill(Ailment.APPLICATION_UNKNOWN, application_id)
        return
    active = application.get("active", True)
    yield well("Telnyx application") if active else ill(Ailment.APPLICATION_INACTIVE)
    if subject.base_public_url:
        url = application.get("webhook_event_url")
        is_ours = url == subject.webhook_url
        yield well("Telnyx webhook URL") if is_ours else ill(Ailment.WEBHOOK_URL_WRONG, url)
    version = application.get("webhook_api_version", "2")
    is_ours = version == "2"
    yield well("Telnyx webhook version") if is_ours else ill(Ailment.WEBHOOK_VERSION_WRONG, version)
    yield _outbound_profile(application, account)


def _outbound_profile(application: Data, account: Account) -> Finding:
    profile_id = (application.get("outbound") or {}).get("outbound_voice_profile_id")
    profile = profile_id and account.data(f"/outbound_voice_profiles/{profile_id}")
    if not profile:
        return ill(Ailment.NO_OUTBOUND_PROFILE)
    if not profile.get("enabled", True):
        return ill(Ailment.OUTBOUND_PROFILE_DISABLED, profile.get("name") or profile_id)
    countries = ", ".join(profile.get("whitelisted_destinations") or ["none"])
    return well(f"Telnyx outbound voice profile (countries: {countries})")


def _from_number(subject: Subject, account: Account) -> Iterator[Finding]:
    wanted = subject.telnyx_from_number
    if not wanted:
        yield ill(Ailment.FROM_NUMBER_MISSING)
        return
    # Other characters than digits "will result in no values being returned" (Telnyx, "List phone
    # numbers").
    found = account.data("/phone_numbers", **{"filter[phone_number]": wanted.removeprefix("+")})
    number = next((each for each in found or () if each.get("phone_number") == wanted), None)
    if number is None:
        verified = account.data(f"/verified_numbers/{wanted}")
        yield well("from number (verified)") if verified else ill(Ailment.FROM_NUMBER_NOT_OWNED)
    elif number.get("status") != "active":
        yield ill(Ailment.FROM_NUMBER_INACTIVE, number.get("status"))
    elif number.get("connection_id") != subject.telnyx_connection_id:
        yield ill(Ailment.FROM_NUMBER_ELSEWHERE)
    else:
        yield well("from number")


def _public_key(subject: Subject, account: Account) -> Finding:
    theirs = account.data("/public_key")["public"]
    if not subject.telnyx_public_key:
        return ill(Ailment.PUBLIC_KEY_MISSING, theirs)
    is_ours = hmac.compare_digest(subject.telnyx_public_key, theirs)
    return well("Telnyx public key") if is_ours else ill(Ailment.PUBLIC_KEY_WRONG, theirs)
