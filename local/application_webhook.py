"""Points the webhooks of the Telnyx application to this machine for a while, and then back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from doctor_checks.carrier import TelnyxAccount
from doctor_checks.config import DoctorConfig

API_VERSION = "2"
ATTEMPTS = 3
PAUSE_SECONDS = 1.0
FAULTS = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError)


class WebhookNotSet(Exception):
    """The webhook URL cannot be set or restored. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    url: str
    version: str


@asynccontextmanager
async def webhook_set(
    config: DoctorConfig, print_line: Callable[[str], None], pause_seconds: float = PAUSE_SECONDS
) -> AsyncIterator[None]:
    """Set the application's webhook URL, and restore it when the context ends, however it ends."""
    _check(config)
    with TelnyxAccount(config) as account:
        application = _Application(account, config.telnyx_connection_id)
        ours = WebhookTarget(config.webhook_url, API_VERSION)
        try:
            before = await asyncio.to_thread(application.read)
        except FAULTS as error:
            raise WebhookNotSet(f"The webhook URL was not set: {error}") from error
        if before == ours:
            yield
            return
        await _set(application, ours, before, pause_seconds)
        try:
            print_line(f"webhook URL of the application: {ours.url} (until now {before.url})")
            yield
        finally:
            await _restore(application, before, pause_seconds)
            print_line(f"webhook URL of the application: {before.url} again")


def _check(config: DoctorConfig) -> None:
    needed = {
        "TELNYX_API_KEY": config.telnyx_api_key,
        "TELNYX_CONNECTION_ID": config.telnyx_connection_id,
        "BASE_PUBLIC_URL": config.base_public_url,
    }
    if missing := [name for name, value in needed.items() if not value]:
        raise WebhookNotSet(f"--set-webhook needs {', '.join(missing)} in .env")
    if not config.has_reachable_url:
        url = config.base_public_url
        raise WebhookNotSet(f"BASE_PUBLIC_URL is {url}, an address that Telnyx cannot reach")


class _Application:
    def __init__(self, account: TelnyxAccount, application_id: str) -> None:
        self._account = account
        self._path = f"/call_control_applications/{application_id}"
        self._name = ""

    def read(self) -> WebhookTarget:
        data = self._account.data(self._path)
        if data is None:
            raise ValueError("Telnyx does not know the application TELNYX_CONNECTION_ID")
        self._name = data["application_name"]
        return WebhookTarget(
            data["webhook_event_url"], data.get("webhook_api_version", API_VERSION)
        )

    def write(self, webhook: WebhookTarget) -> None:
        """Change the webhook. An update must repeat the application's name (Telnyx, "Update a call
        control application")."""
        self._account.change(
            self._path,
            application_name=self._name,
            webhook_event_url=webhook.url,
            webhook_api_version=webhook.version,
        )


async def _set(
    application: _Application, ours: WebhookTarget, before: WebhookTarget, pause_seconds: float
) -> None:
    try:
        await asyncio.to_thread(application.write, ours)
    except httpx.HTTPStatusError as refusal:
        raise WebhookNotSet(f"The webhook URL was not set: {refusal}") from refusal
    except FAULTS as error:
        # The answer was lost, so the change may have been made.
        await _restore(application, before, pause_seconds)
        raise WebhookNotSet(f"The webhook URL was not set: {error}") from error


async def _restore(application: _Application, before: WebhookTarget, pause_seconds: float) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await asyncio.to_thread(application.write, before)
            return
        except FAULTS as error:
            if attempt == ATTEMPTS:
                remedy = f"Set it to {before.url} at portal.telnyx.com, Voice."
                problem = f"The webhook URL was not restored: {error}. {remedy}"
                raise WebhookNotSet(problem) from error
        await asyncio.sleep(pause_seconds)
