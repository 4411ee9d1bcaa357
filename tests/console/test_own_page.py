"""The page and the server of docs/browser.md work as they stand there."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from aws.stack import free_port
from simulators.audio.speech import CLIPS, recognise
from tests.support.browser import tab
from tests.support.processes import answering, python
from tests.support.scripted_calls import CONSOLE, ScriptedServer

pytestmark = pytest.mark.asyncio(loop_scope="package")

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/browser.md"


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(found)


@asynccontextmanager
async def own_server(folder: Path, phonebridge: str) -> AsyncIterator[str]:
    (folder / "index.html").write_text(block("html"))
    (folder / "server.py").write_text(block("python"))
    for name in ("phone.js", "phone-worklet.js"):
        shutil.copy(CONSOLE / name, folder)
    port = free_port()
    environ = {"PHONEBRIDGE_URL": phonebridge, "PHONEBRIDGE_KEY": "secret", "PORT": str(port)}
    async with python("server.py", environ=environ, cwd=folder):
        url = f"http://127.0.0.1:{port}/"
        await answering(url)
        yield url


async def test_a_page_of_your_own_has_30_lines() -> None:
    assert len(block("html").splitlines()) <= 30


async def test_the_page_of_the_document_explains_a_refusal(
    browser: Browser, server: ScriptedServer, tmp_path: Path
) -> None:
    server.refusals = [(503, {"error": {"message": "OpenAI API key not configured"}})]
    server.key = "secret"
    async with (
        own_server(tmp_path, server.url.rstrip("/")) as url,
        tab(browser, url, media_host=server.host) as opened,
    ):
        await opened.page.click("#talk")
        await expect(opened.page.locator("#state")).to_have_text("The server created no call.")
        await expect(opened.page.locator("#talk")).to_be_enabled()


async def test_the_page_of_the_document_makes_a_call(
    browser: Browser, server: ScriptedServer, tmp_path: Path
) -> None:
    server.key = "secret"
    async with (
        own_server(tmp_path, server.url.rstrip("/")) as url,
        tab(browser, url, media_host=server.host) as opened,
    ):
        await opened.page.click("#talk")
        socket = await server.socket()
        await socket.play(CLIPS["agent_filler"].samples)
        await socket.send("mark", {"name": "said"})
        await socket.frame("mark")
        await socket.show("agent", "a1", "One moment, please.", is_final=True)
        await expect(opened.page.locator("#words")).to_have_text("agent: One moment, please.")
        played = await opened.played()
        await socket.close(1011)
        again = await server.socket(2)
        await opened.page.click("#end")
        await again.frame("stop")
        await expect(opened.page.locator("#state")).to_have_text("ended")
        assert "secret" not in await opened.page.content()
    assert recognise(played.samples, played.rate_hz).clip is CLIPS["agent_filler"]
    assert server.created[0]["greeting"] == "Hello, how can I help?"
