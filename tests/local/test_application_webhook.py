"""The webhook URL of the application, during a call and after it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from application_webhook import WebhookNotSet, webhook_set
from doctor_checks.carrier import TelnyxAccount
from doctor_checks.config import DoctorConfig
from simulators.scenario import SHORT
from simulators.telnyx.account import CONNECTION_ID, Account
from simulators.telnyx.behaviour import Person
from simulators.telnyx.server import TelnyxSimulator

BEFORE = "https://old.example/hooks"
OURS = "https://tunnel.invalid/webhooks/telnyx"


@dataclass
class Setup:
    account: Account
    config: DoctorConfig
    printed: list[str] = field(default_factory=list)


@asynccontextmanager
async def set_up(**environ: str) -> AsyncIterator[Setup]:
    account = Account(webhook_event_url=BEFORE, webhook_api_version="1")
    async with TelnyxSimulator(person=Person(SHORT), account=account) as telnyx:
        given = {
            "TELNYX_API_BASE": telnyx.api_base,
            "TELNYX_API_KEY": "KEY-test",
            "TELNYX_CONNECTION_ID": CONNECTION_ID,
            "BASE_PUBLIC_URL": "https://tunnel.invalid",
        }
        yield Setup(account, DoctorConfig.from_env(given | environ))


async def test_it_is_ours_during_the_call_and_the_earlier_one_afterwards() -> None:
    async with set_up() as setup:
        async with webhook_set(setup.config, setup.printed.append):
            assert setup.account.webhook_event_url == OURS
            assert setup.account.webhook_api_version == "2"
        assert setup.account.webhook_event_url == BEFORE
        assert setup.account.webhook_api_version == "1"
    assert [BEFORE in line for line in setup.printed] == [True, True]


async def test_it_is_restored_after_a_failure() -> None:
    async with set_up() as setup:
        with pytest.raises(ZeroDivisionError):
            async with webhook_set(setup.config, setup.printed.append):
                raise ZeroDivisionError
        assert setup.account.webhook_event_url == BEFORE


async def test_one_that_is_ours_already_stays() -> None:
    async with set_up() as setup:
        setup.account.webhook_event_url = OURS
        setup.account.webhook_api_version = "2"
        async with webhook_set(setup.config, setup.printed.append):
            pass
        assert setup.account.webhook_event_url == OURS
    assert setup.printed == []


@pytest.mark.parametrize("name", ["TELNYX_API_KEY", "TELNYX_CONNECTION_ID", "BASE_PUBLIC_URL"])
async def test_a_missing_setting_is_named(name: str) -> None:
    async with set_up(**{name: ""}) as setup:
        with pytest.raises(WebhookNotSet, match=f"needs {name} in .env"):
            async with webhook_set(setup.config, setup.printed.append):
                pass


async def test_an_address_that_telnyx_cannot_reach_is_refused() -> None:
    elsewhere = {"TELNYX_API_BASE": "https://telnyx.invalid/v2"}
    async with set_up(BASE_PUBLIC_URL="http://127.0.0.1:3000", **elsewhere) as setup:
        with pytest.raises(WebhookNotSet, match="Telnyx cannot reach"):
            async with webhook_set(setup.config, setup.printed.append):
                pass


@pytest.mark.parametrize(
    ("name", "value"), [("TELNYX_API_KEY", "KEY-wrong"), ("TELNYX_CONNECTION_ID", "1")]
)
async def test_an_account_that_refuses_changes_nothing(name: str, value: str) -> None:
    async with set_up(**{name: value}) as setup:
        with pytest.raises(WebhookNotSet, match="was not set"):
            async with webhook_set(setup.config, setup.printed.append):
                pass
        assert setup.account.webhook_event_url == BEFORE


def failing(times: int, after: bool = False) -> Callable[..., None]:
    """A change that loses so many connections, before or after it took effect."""
    change, left = TelnyxAccount.change, [times]

    def lose(account: TelnyxAccount, path: str, **fields: str) -> None:
        if after or not left[0]:
            change(account, path, **fields)
        if left[0]:
            left[0] -= 1
            raise httpx.ReadError("the connection was lost")

    return lose


async def test_a_lost_connection_is_tried_again_when_it_is_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with set_up() as setup:
        async with webhook_set(setup.config, setup.printed.append, pause_seconds=0):
            monkeypatch.setattr(TelnyxAccount, "change", failing(2))
        assert setup.account.webhook_event_url == BEFORE


async def test_one_that_cannot_be_restored_is_told_so_that_a_person_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with set_up() as setup:
        with pytest.raises(WebhookNotSet, match=f"Set it to {BEFORE} at portal"):
            async with webhook_set(setup.config, setup.printed.append, pause_seconds=0):
                monkeypatch.setattr(TelnyxAccount, "change", failing(3))


async def test_a_change_whose_answer_was_lost_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with set_up() as setup:
        monkeypatch.setattr(TelnyxAccount, "change", failing(1, after=True))
        with pytest.raises(WebhookNotSet, match="the connection was lost"):
            async with webhook_set(setup.config, setup.printed.append, pause_seconds=0):
                pass
        assert setup.account.webhook_event_url == BEFORE
