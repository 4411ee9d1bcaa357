"""How the page looks, light and dark. `make screenshots` stores the pictures of the documents."""

import os
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from aws.console_routes import status_of
from simulators.audio.speech import CLIPS
from tests.support.browser import tab
from tests.support.scripted_calls import MediaSocket, ScriptedServer, ended_record, jsonable

pytestmark = pytest.mark.asyncio(loop_scope="package")

Scheme = Literal["light", "dark"]
PICTURES = os.environ.get("SCREENSHOTS")
"""The folder for the pictures. Without it, none are stored."""
WIDE = {"width": 1160, "height": 700}
NARROW = {"width": 360, "height": 740}
CONTRAST = 4.5
"""WCAG 2.2, 1.4.3, of text in normal size."""

each_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])

POOR_CONTRASTS = """(least) => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => {
        const [r, g, b] = channels(color).slice(0, 3).map((each) => {
            const share = each / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const backgroundOf = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const color = getComputedStyle(each).backgroundColor;
            if ((channels(color)[3] ?? 1) > 0) return color;
        }
        return "rgb(255, 255, 255)";
    };
    const hasText = (element) => Array.from(element.childNodes).some(
        (node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    return Array.from(document.querySelectorAll("body *"))
        .filter((each) => hasText(each) && each.checkVisibility() && !each.disabled)
        .map((each) => {
            const [dark, light] = [getComputedStyle(each).color, backgroundOf(each)]
                .map(luminance).sort((a, b) => a - b);
            return [(light + 0.05) / (dark + 0.05), each.outerHTML.slice(0, 90)];
        })
        .filter(([ratio]) => ratio < least);
}"""


async def hold_a_conversation(page: Page, server: ScriptedServer) -> MediaSocket:
    await page.fill("#greeting", "Bright Smile Dental, good morning. How can I help you?")
    await page.click("#talk")
    socket = await server.socket()
    await socket.send("state", {"name": "speaking"})
    await socket.play(CLIPS["agent_greeting"].samples)
    say = socket.show
    await say("agent", "1", "Bright Smile Dental, good morning. How can I help you?", is_final=True)
    await say("caller", "2", "Hello, what do you have on Thursday?", is_final=True)
    tool = {"call_id": "3", "name": "free_times", "arguments": '{"day": "Thursday"}'}
    await socket.send("tool", tool | {"output": '["9:15", "10:30", "14:00"]'})
    await socket.send("latency", {"milliseconds": 824})
    unheard = "or at two in the afternoon."
    text = "On Thursday, Doctor Lee can see you at nine fifteen, at ten thirty"
    await say("agent", "4", text, is_final=True, unheard=unheard)
    await say("caller", "5", "Nine fifteen is perfect.", is_final=True)
    await socket.send("latency", {"milliseconds": 431})
    await say("agent", "6", "Great, I have booked")
    await expect(page.locator("#transcript")).to_contain_text("I have booked")
    return socket


async def keep(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png")


@each_scheme
async def test_a_call_is_readable(browser: Browser, server: ScriptedServer, scheme: Scheme) -> None:
    server.status = jsonable(status_of({}, simulates_model=True, simulates_phone=True))
    server.record = ended_record(reason="caller_hung_up")
    async with tab(browser, server.url, color_scheme=scheme, viewport=WIDE) as opened:
        page = opened.page
        await hold_a_conversation(page, server)
        await opened.sounds()
        await keep(page, f"talk-{scheme}")
        assert await page.evaluate(POOR_CONTRASTS, CONTRAST) == []
        await page.click("#talk")
        await expect(page.locator("#facts")).to_contain_text("Cost")
        assert await page.evaluate(POOR_CONTRASTS, CONTRAST) == []


@each_scheme
async def test_a_problem_is_readable(
    browser: Browser, server: ScriptedServer, scheme: Scheme
) -> None:
    async with tab(
        browser, server.url, microphone="refused", color_scheme=scheme, viewport=WIDE
    ) as opened:
        await opened.page.click("#talk")
        await expect(opened.page.locator("#problem")).to_be_visible()
        assert await opened.page.evaluate(POOR_CONTRASTS, CONTRAST) == []


async def test_a_small_screen_needs_no_sideways_scrolling(
    browser: Browser, server: ScriptedServer
) -> None:
    server.status = jsonable(status_of({}, simulates_model=True, simulates_phone=True))
    async with tab(browser, server.url, viewport=NARROW) as opened:
        await hold_a_conversation(opened.page, server)
        await opened.page.click("#keypad-toggle")
        width = await opened.page.evaluate("document.documentElement.scrollWidth")
    assert width == NARROW["width"]
