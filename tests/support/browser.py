"""Headless Chromium for tests: what a page plays, and what it asks of which server."""

import base64
import math
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
    expect,
)

from simulators.audio.speech import Samples
from tests.support.waiting import until

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # Chromium refuses to start as root with one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
)
EVENTS_SECONDS = 120


def chromium_path() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def is_missing() -> bool:
    """Whether tests that need a browser are skipped. In CI they fail instead."""
    return chromium_path() is None and os.environ.get("CI") != "true"


@asynccontextmanager
async def chromium(microphone: Path) -> AsyncIterator[Browser]:
    """Run Chromium. Its microphone plays the file once, from the moment a page opens it."""
    flags = (*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop")
    expect.set_options(timeout=EVENTS_SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(), args=list(flags)
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(slots=True)
class Tab:
    """A page, and everything it complained about or asked of other hosts."""

    page: Page
    hosts: tuple[str, ...]
    """The hosts that it may talk to."""
    problems: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda message: self._add_message(message))
        self.page.on("request", lambda request: self._check_host(request.url))
        self.page.on("websocket", lambda socket: self._check_host(socket.url))

    def _add_message(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)

    def _check_host(self, url: str) -> None:
        if urlsplit(url).scheme not in ("blob", "data") and urlsplit(url).netloc not in self.hosts:
            self.foreign.append(url)

    async def played(self) -> "Output":
        return Output.of(await self.page.evaluate("browserOutput.read()"))

    async def sounds(self) -> None:
        """Wait until the page plays something."""
        loud = "browserOutput.chunks.some((chunk) => chunk.some((each) => Math.abs(each) > 100))"
        await until(lambda: self._is(loud))

    async def plays_until(self, seconds: float) -> None:
        """Wait until the clock of the audio shows this time."""
        await until(lambda: self._is(f"browserOutput.seconds > {seconds}"))

    async def _is(self, expression: str) -> bool:
        """Ask the page once. The page's policy forbids Playwright's own way to wait."""
        return bool(await self.page.evaluate(expression))

    async def speak(self, samples: Samples, rate_hz: int) -> None:
        """Speak into the microphone of a tab that has a scripted one."""
        await self.page.evaluate(
            "([sound, rate]) => speakIntoMicrophone(sound, rate)",
            [base64.b64encode(samples.astype("<i2").tobytes()).decode(), rate_hz],
        )


@dataclass(frozen=True, slots=True)
class Output:
    """What a page sent to the sound card. Times are seconds of the audio's own clock."""

    rate_hz: int
    samples: Samples
    starts_at: float
    clears: Sequence[float]
    """When the page received each `clear`."""

    @staticmethod
    def of(found: dict[str, Any]) -> "Output":
        samples = np.frombuffer(base64.b64decode(found["sound"]), "<i2").astype(np.int16)
        return Output(found["rateHz"], samples, found["startsAt"], found["clears"])

    def between(self, begin: float, end: float = math.inf) -> Samples:
        times = self.starts_at + np.arange(len(self.samples)) / self.rate_hz
        return self.samples[(times >= begin) & (times < end)]


@asynccontextmanager
async def tab(
    browser: Browser,
    url: str,
    *,
    microphone: str = "file",
    media_host: str = "",
    **context_options: Any,
) -> AsyncIterator[Tab]:
    """Open a tab whose output is kept. `microphone` is `file`, `scripted` or `refused`."""
    async with await browser.new_context(**context_options) as context:
        context.set_default_timeout(EVENTS_SECONDS * 1000)
        await _prepare(context, microphone)
        opened = Tab(await context.new_page(), (urlsplit(url).netloc, media_host))
        opened.watch()
        await opened.page.goto(url)
        yield opened
        assert opened.problems == []
        assert opened.foreign == []


async def _prepare(context: BrowserContext, microphone: str) -> None:
    await context.add_init_script(path=HERE / "browser_output.js")
    if microphone != "refused":
        await context.grant_permissions(["microphone"])
    if microphone == "scripted":
        await context.add_init_script("useScriptedMicrophone()")
