from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette

from aws.console_routes import console_routes, status_of

LOCAL = "http://127.0.0.1:3000"
COMPLETE = {
    "OPENAI_API_KEY": "sk-given",
    "TELNYX_API_KEY": "KEY-given",
    "TELNYX_PUBLIC_KEY": "key",
    "TELNYX_CONNECTION_ID": "1",
    "TELNYX_FROM_NUMBER": "+15550100",
    "BASE_PUBLIC_URL": "https://phone.example",
}


@asynccontextmanager
async def client_of(given: Mapping[str, str], url: str = LOCAL) -> AsyncIterator[httpx.AsyncClient]:
    status = status_of(given, simulates_model=not given, simulates_phone=not given)
    transport = httpx.ASGITransport(Starlette(routes=console_routes(status, given)))
    async with httpx.AsyncClient(transport=transport, base_url=url) as client:
        yield client


async def states(given: Mapping[str, str]) -> list[str]:
    async with client_of(given) as client:
        answer = (await client.get("/console/status")).json()
    return [feature["state"] for feature in answer["features"]]


async def test_without_settings_the_status_names_what_each_setting_would_add() -> None:
    async with client_of({}) as client:
        answer = (await client.get("/console/status")).json()
    talk, ring, phone = answer["features"]
    assert (answer["model"], answer["phone"], answer["can_ring"]) == ("simulated",) * 2 + (True,)
    assert [each["state"] for each in (talk, ring, phone)] == ["simulated", "simulated", "missing"]
    assert talk["settings"] == ["OPENAI_API_KEY"]
    assert {"TELNYX_API_KEY", "BASE_PUBLIC_URL"} <= set(phone["settings"])


async def test_with_all_settings_everything_is_ready() -> None:
    assert await states(COMPLETE) == ["ready", "ready", "ready"]


async def test_an_empty_key_is_missing_and_not_simulated() -> None:
    status = status_of({"OPENAI_API_KEY": ""}, simulates_model=False, simulates_phone=True)
    assert status.features[0].state == "missing"


async def test_the_findings_are_those_of_the_doctor() -> None:
    async with client_of({}) as client:
        findings = (await client.get("/console/findings")).json()["findings"]
    assert {finding["level"] for finding in findings} <= {"fail", "note"}
    assert any(
        each["text"].startswith("OpenAI API key: OPENAI_API_KEY is not set. To do: ")
        for each in findings
    )


@pytest.mark.parametrize("path", ["/console/status", "/console/findings"])
async def test_other_machines_do_not_see_the_settings(path: str) -> None:
    async with client_of(COMPLETE, "https://tunnel.example") as client:
        answer = await client.get(path)
    assert answer.status_code == 403
    assert "TELNYX" not in answer.text


async def test_no_secret_is_shown() -> None:
    async with client_of(COMPLETE) as client:
        assert "given" not in (await client.get("/console/status")).text
