"""Calls from the talk page through the whole local stack, to the simulated model."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from simulators.audio.voice import Voice, synthesize
from simulators.openai.agent import VARIANTS
from simulators.scenario import ECHO
from tests.console.conftest import SPOKEN
from tests.support.browser import Tab, tab
from tests.support.recognition import similarity
from tests.support.waiting import until
from tests.support.whole_calls import Record, System, whole_system

pytestmark = pytest.mark.asyncio(loop_scope="package")

GREETING = "Welcome to the bakery."
LONG_GREETING = (
    "Welcome to the bakery. Today we have white bread, brown bread, rolls with poppy seeds, rolls "
    "with sesame seeds, cakes with apples, cakes with plums, and cakes with cherries."
)
VOICE = "cedar"
IS_RECOGNISED = 0.6
"""Other sentences reach 0.4. On a busy machine, Chromium's sound has gaps."""
CLEAR_SECONDS = 0.3
"""Limit for the sound of an interrupted answer that was already on its way to the sound card."""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with whole_system(tmp_path_factory.mktemp("system"), {}, ECHO) as system:
        yield system


def url_of(system: System) -> str:
    return str(system.api.base_url)


async def start_call(opened: Tab, greeting: str, tools: str = "") -> None:
    page = opened.page
    await page.fill("#greeting", greeting)
    await page.select_option("#voice", VOICE)
    await page.click("summary:has-text('Sound')")
    await page.uncheck("#echo-cancellation")
    if tools:
        await page.click("summary:has-text('Tools')")
        await page.fill("#tools", tools)
    await page.click("#talk")


async def shown_record(page: Page) -> Record:
    """Wait until the page shows the record of its call, and return it."""
    await expect(page.locator("#facts")).to_contain_text("Cost")
    record: Record = await page.evaluate(
        "JSON.parse(document.querySelector('#record').textContent)"
    )
    return record


def turns(record: Record, who: str) -> list[dict[str, Any]]:
    return [turn for turn in record["turns"] if turn["who"] == who]


async def test_the_agent_greets_repeats_what_it_hears_and_hangs_up(
    browser: Browser, system: System
) -> None:
    async with tab(browser, url_of(system), microphone="scripted") as opened:
        await start_call(opened, GREETING, '["end_call"]')
        await expect(opened.page.locator("#announcer")).to_have_text(f"Agent: {GREETING}")
        await opened.speak(SPOKEN.samples, SPOKEN.rate_hz)
        record = await shown_record(opened.page)
        played = await opened.played()
        transcript = await opened.page.inner_text("#transcript")
        title = await opened.page.inner_text("#summary-title")
    greeting = synthesize(GREETING, Voice(VARIANTS[VOICE]))
    assert similarity(played.samples, played.rate_hz, greeting) > IS_RECOGNISED
    assert similarity(played.samples, played.rate_hz, SPOKEN) > IS_RECOGNISED
    first, second = (turn["text"] for turn in turns(record, "agent")[:2])
    assert first == GREETING
    assert second.startswith("You said:")
    assert (record["outcome"], record["reason"]) == ("completed", "ended_by_agent")
    assert title == "Call ended: the agent hung up"
    for words in (GREETING, second, "end_call", "replied in"):
        assert words in transcript


async def test_an_interrupted_answer_stops_and_its_rest_is_struck_through(
    browser: Browser, system: System
) -> None:
    async with tab(browser, url_of(system), microphone="scripted") as opened:
        page = opened.page
        await start_call(opened, LONG_GREETING)
        await opened.sounds()
        await opened.speak(SPOKEN.samples, SPOKEN.rate_hz)
        struck = page.locator("#transcript .turn.agent del").first
        await expect(struck).to_be_visible()
        played = await opened.played()
        cut_at = played.clears[0] + CLEAR_SECONDS
        await opened.plays_until(cut_at + 1)
        played = await opened.played()
        await page.click("#talk")
        record = await shown_record(page)
        unheard = (await struck.text_content() or "").removeprefix("not heard: ")
    assert np.abs(played.between(0, cut_at)).max() > 1000
    assert not played.between(cut_at, cut_at + 1).any()
    greeting = turns(record, "agent")[0]
    assert greeting["interrupted"]
    assert greeting["unheard"] == unheard
    assert LONG_GREETING.startswith(f"{greeting['text']} {unheard}".strip())


async def test_keys_are_part_of_the_conversation(browser: Browser, system: System) -> None:
    async with tab(browser, url_of(system), microphone="scripted") as opened:
        await start_call(opened, GREETING)
        await opened.sounds()
        await opened.page.click("#keypad-toggle")
        for key in "12#":
            await opened.page.click(f"#keypad >> text={key}")
        await expect(opened.page.locator("#transcript")).to_contain_text("I received this text")
        await opened.page.click("#talk")
        record = await shown_record(opened.page)
    assert "[pressed 1 2 #]" in [turn["text"] for turn in turns(record, "caller")]
    assert record["reason"] == "caller_hung_up"


async def test_a_program_ends_the_call(browser: Browser, system: System) -> None:
    async with tab(browser, url_of(system), microphone="scripted") as opened:
        async with opened.page.expect_response("**/api/browser-calls") as created:
            await start_call(opened, GREETING)
        call_id = (await (await created.value).json())["call_id"]
        await opened.sounds()
        await system.post(call_id, "hangup")
        record = await shown_record(opened.page)
        await expect(opened.page.locator("#talk-label")).to_have_text("Talk")
    assert (record["call_id"], record["reason"]) == (call_id, "ended_by_api")


async def test_a_simulated_caller_rings_a_number(browser: Browser, system: System) -> None:
    number = "+15550177"
    await system.api.put("/api/agents/bakery", json={"greeting": GREETING})
    await system.api.put(f"/api/numbers/{number}", json={"agent": "bakery"})
    async with tab(browser, url_of(system)) as opened:
        await opened.page.select_option("#ring-number", number)
        await opened.page.click("#ring-form button")
        await expect(opened.page.locator("#ring-result")).to_contain_text(f"calls {number}")
    phone = await until(lambda: system.phones(number))
    phone[0].hang_up()


async def test_the_findings_are_those_of_the_doctor(browser: Browser, system: System) -> None:
    async with tab(browser, url_of(system)) as opened:
        await opened.page.click("#doctor summary")
        await expect(opened.page.locator("#findings")).to_contain_text("OPENAI_API_KEY is not set")
