"""The talk page, with a server that the test plays itself."""

from typing import Any

import pytest
import soundfile
from playwright.async_api import Browser, Page, expect

from simulators.audio.speech import CLIPS, recognise
from tests.support.browser import Tab, tab
from tests.support.scripted_calls import MediaSocket, ScriptedServer, ended_record

pytestmark = pytest.mark.asyncio(loop_scope="package")

LOCAL = {
    "model": "simulated",
    "phone": "simulated",
    "features": [
        {
            "title": "Talk to an agent in this page",
            "state": "simulated",
            "explanation": "For the real model, set",
            "settings": ["OPENAI_API_KEY"],
        }
    ],
    "can_ring": False,
}
TOOL = {"call_id": "t1", "name": "opening_hours", "arguments": '{"day": "today"}', "output": None}


async def call(opened: Tab, server: ScriptedServer) -> MediaSocket:
    await opened.page.click("#talk")
    return await server.socket()


def turn(page: Page, number: int) -> Any:
    return page.locator("#transcript .turn").nth(number - 1)


async def test_the_form_becomes_the_settings_of_the_call(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        await opened.page.fill("#greeting", "Hi there.")
        await opened.page.fill("#instructions", "Be kind.")
        await opened.page.select_option("#voice", "cedar")
        await opened.page.click("summary:has-text('Tools')")
        await opened.page.fill("#tools", '["end_call"]')
        await call(opened, server)
    assert server.created == [
        {
            "greeting": "Hi there.",
            "instructions": "Be kind.",
            "voice": "cedar",
            "tools": ["end_call"],
            "audio": "pcmu",
            "events": ["transcript", "state", "latency", "tool"],
        }
    ]


async def test_a_stored_agent_is_named_and_only_changes_are_sent(
    browser: Browser, server: ScriptedServer
) -> None:
    server.status = LOCAL
    server.agents = {
        "reception": {
            "name": "reception",
            "greeting": "Good morning!",
            "instructions": "You answer for a shop.",
            "voice": "voice_own",
            "tools": ["end_call"],
        }
    }
    async with tab(browser, server.url) as opened:
        await opened.page.select_option("#agent-name", "reception")
        await expect(opened.page.locator("#greeting")).to_have_value("Good morning!")
        await expect(opened.page.locator("#voice")).to_have_value("voice_own")
        await opened.page.fill("#instructions", "You answer for a bakery.")
        await call(opened, server)
    [created] = server.created
    assert created["agent"] == "reception"
    assert created["instructions"] == "You answer for a bakery."
    assert created.keys() == {"agent", "instructions", "audio", "events"}


async def test_words_grow_and_unheard_words_are_struck_through(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.show("agent", "a1", "On Thursday")
        await expect(turn(opened.page, 1)).to_contain_text("On Thursday")
        await socket.show("agent", "a1", "On Thursday at nine or at ten.")
        await expect(turn(opened.page, 1)).to_contain_text("at nine or at ten.")
        await socket.show("agent", "a1", "On Thursday", is_final=True, unheard="at nine or at ten.")
        await expect(turn(opened.page, 1).locator("del")).to_contain_text("at nine or at ten.")
        await socket.show("caller", "c1", "Nine is fine", is_final=True)
        await expect(opened.page.locator("#announcer")).to_have_text("You: Nine is fine")
        assert await opened.page.locator("#transcript .turn").count() == 2


async def test_a_greeting_with_a_script_is_only_text(
    browser: Browser, server: ScriptedServer
) -> None:
    greeting = "<script>document.title = 'taken over'</script><img src=x onerror=alert(1)>"
    async with tab(browser, server.url) as opened:
        await opened.page.fill("#greeting", greeting)
        socket = await call(opened, server)
        await socket.show("agent", "a1", greeting, unheard=greeting)
        await socket.send("tool", TOOL | {"name": greeting, "output": greeting})
        await expect(opened.page.locator("#transcript .tool")).to_contain_text("<img")
        assert await opened.page.locator("#transcript :is(script, img)").count() == 0
        assert "taken over" not in await opened.page.title()
    assert server.created[0]["greeting"] == greeting


async def test_a_tool_call_is_shown_with_its_output(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.send("tool", TOOL)
        shown = opened.page.locator("#transcript .tool")
        await expect(shown).to_have_text('opening_hours {"day": "today"}→ running…')
        await socket.send("tool", TOOL | {"output": "from 8 to 18"})
        await expect(shown).to_have_text('opening_hours {"day": "today"}→ from 8 to 18')


async def test_a_latency_stands_at_its_turn_in_either_order(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.send("latency", {"milliseconds": 420})
        await socket.show("agent", "a1", "Of course.", is_final=True)
        await expect(turn(opened.page, 1)).to_contain_text("replied in 420 ms")
        await socket.show("agent", "a2", "And")
        await socket.send("latency", {"milliseconds": 510})
        await expect(turn(opened.page, 2)).to_contain_text("replied in 510 ms")
        await expect(turn(opened.page, 1)).to_contain_text("replied in 420 ms")


async def test_after_the_call_its_cost_is_shown(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.close(1000)
        await expect(opened.page.locator("#facts")).to_contain_text("0.0103")
        await expect(opened.page.locator("#facts")).to_contain_text("420 ms")
        await expect(opened.page.locator("#facts")).to_contain_text("0:12")


async def test_the_last_call_can_be_played_again(
    browser: Browser, server: ScriptedServer, tmp_path: Any
) -> None:
    async with tab(browser, server.url) as opened:
        socket = await call(opened, server)
        await socket.play(CLIPS["agent_filler"].samples)
        await socket.send("mark", {"name": "said"})
        await socket.frame("mark")
        await opened.page.click("#talk")
        async with opened.page.expect_download() as download:
            await opened.page.click("#download")
        saved = tmp_path / "call.wav"
        await (await download.value).save_as(saved)
        length = await opened.page.evaluate(
            """async () => {
                if (!player.duration) await new Promise((done) => (player.onloadedmetadata = done));
                return player.duration;
            }"""
        )
    sound, rate_hz = soundfile.read(saved, dtype="int16")
    assert recognise(sound[:, 1], rate_hz).clip is CLIPS["agent_filler"]
    assert abs(length - len(sound) / rate_hz) < 0.01


@pytest.mark.parametrize(
    ("status", "answer", "shown"),
    [
        (
            503,
            {"error": {"code": "not_configured", "message": "OpenAI API key not configured"}},
            "OpenAI API key not configured",
        ),
        (422, {"error": {"code": "invalid_field", "message": "voice: unknown."}}, "voice: unknown"),
        (429, {"message": "Too Many Requests"}, "Too Many Requests"),
    ],
)
async def test_a_refused_call_says_why(
    browser: Browser, server: ScriptedServer, status: int, answer: dict[str, Any], shown: str
) -> None:
    server.refusals = [(status, answer)]
    async with tab(browser, server.url) as opened:
        await opened.page.click("#talk")
        await expect(opened.page.locator("#problem")).to_contain_text(shown)
        await expect(opened.page.locator("#talk-label")).to_have_text("Talk")
        await call(opened, server)
        await expect(opened.page.locator("#problem")).to_be_hidden()


async def test_a_model_that_refuses_is_explained_by_the_record(
    browser: Browser, server: ScriptedServer
) -> None:
    fault = {"reason": "model_refused", "detail": "The model refused the session: bad key."}
    server.record = ended_record(outcome="failed", reason="model_refused", fault=fault)
    async with tab(browser, server.url) as opened:
        await (await call(opened, server)).close(1000)
        await expect(opened.page.locator("#summary-title")).to_have_text(
            "Call failed: The model refused the session: bad key."
        )


async def test_a_refused_microphone_is_explained_and_creates_no_call(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url, microphone="refused") as opened:
        await opened.page.click("#talk")
        problem = opened.page.locator("#problem")
        await expect(problem).to_contain_text("does not allow this page to use the microphone")
        await expect(problem).to_contain_text("address bar")
        await expect(opened.page.locator("#talk-label")).to_have_text("Talk")
    assert server.created == []


async def test_tools_that_are_no_json_create_no_call(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        await opened.page.click("summary:has-text('Tools')")
        await opened.page.fill("#tools", "[end_call")
        await opened.page.click("#talk")
        await expect(opened.page.locator("#tools-problem")).to_contain_text("not valid JSON")
    assert server.created == []


async def test_a_deployment_asks_for_its_key(browser: Browser, server: ScriptedServer) -> None:
    server.key = "secret-key"
    server.agents = {"reception": {"name": "reception"}}
    async with tab(browser, server.url) as opened:
        await opened.page.fill("#api-key", "wrong")
        await opened.page.click("text=Use key")
        await expect(opened.page.locator("#problem")).to_contain_text("does not accept the API key")
        await opened.page.fill("#api-key", "secret-key")
        await opened.page.keyboard.press("Enter")
        await expect(opened.page.locator("#agent-name")).to_contain_text("reception")
        await expect(opened.page.locator("#problem")).to_be_hidden()
        assert await opened.page.evaluate("localStorage.length") == 0


async def test_the_local_page_shows_what_works(browser: Browser, server: ScriptedServer) -> None:
    server.status = LOCAL
    async with tab(browser, server.url) as opened:
        await expect(opened.page.locator("#features")).to_contain_text("OPENAI_API_KEY")
        await expect(opened.page.locator("#providers")).to_contain_text("Model: simulated")
        await expect(opened.page.locator("#access")).to_be_hidden()


async def test_a_call_needs_no_mouse(browser: Browser, server: ScriptedServer) -> None:
    async with tab(browser, server.url) as opened:
        keyboard = opened.page.keyboard
        await move_focus(opened.page, "greeting")
        await keyboard.press("Control+A")
        await keyboard.type("Hello from the keyboard.")
        await move_focus(opened.page, "talk")
        await keyboard.press("Enter")
        socket = await server.socket()
        await move_focus(opened.page, "keypad-toggle")
        await keyboard.press("Space")
        await keyboard.press("Tab")
        await keyboard.press("Enter")
        assert (await socket.frame("dtmf"))["digit"] == "1"
        await move_focus(opened.page, "talk", "Shift+Tab")
        await keyboard.press("Enter")
        await socket.frame("stop")
    assert server.created[0]["greeting"] == "Hello from the keyboard."


async def move_focus(page: Page, id_: str, key: str = "Tab") -> None:
    for _ in range(60):
        if await page.evaluate("document.activeElement.id") == id_:
            return
        await page.keyboard.press(key)
    raise AssertionError(f"{key} never reaches #{id_}")


async def test_everything_that_can_be_changed_has_a_name(
    browser: Browser, server: ScriptedServer
) -> None:
    async with tab(browser, server.url) as opened:
        unnamed = await opened.page.evaluate(
            """Array.from(document.querySelectorAll("input, select, textarea, button"))
                .filter((each) => !each.labels?.length && !each.textContent.trim()
                                  && !each.getAttribute("aria-label"))
                .map((each) => each.outerHTML)"""
        )
    assert unnamed == []
