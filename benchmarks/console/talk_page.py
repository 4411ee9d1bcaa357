"""Measures the talk page in headless Chromium: `make bench-page`. It prints the table and writes it
into docs/browser.md.

The time from the click to the first sound is measured with the whole local stack and the simulated
model. The delay of the page is measured with a server that returns each frame at once.
"""

import argparse
import asyncio
import shutil
import sys
import wave
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile

import msgspec
import uvicorn
from playwright.async_api import Browser, Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from aws.stack import Plan, free_port, log_handlers_to, running
from benchmarks.page_section import DOCS, PageSection, percentile_95
from simulators.scenario import ECHO

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = ROOT / "console"
SECTION = PageSection(DOCS / "browser.md", "talk page")
LOG = ROOT / ".build" / "talk_page.log"
PROBE = Path(__file__).with_name("page_probe.js")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",
)
CALLS = 10
PULSES = 30
PULSE_SECONDS = 0.5
JITTER_MS = 60
"""The page's jitter buffer, which is not part of its delay."""
TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.05

FIRST_SOUND = "click to the first sound, simulated model"
DELAY = "microphone to loudspeaker, beside the jitter buffer of 60 ms"
LIMITS_MS: Mapping[str, float] = {FIRST_SOUND: 700, DELAY: 60}
"""Limit for the median of each figure."""


class _Frame(msgspec.Struct):
    event: str
    media: dict[str, str] = {}


async def _return_frames(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        frame = msgspec.json.decode(text, type=_Frame)
        if frame.event == "media":
            media = {"payload": frame.media["payload"]}
            await websocket.send_text(
                msgspec.json.encode({"event": "media", "media": media}).decode()
            )


def _echo_app(host: str) -> Starlette:
    async def page(request: Request) -> Response:
        return FileResponse(CONSOLE / "index.html")

    async def create(request: Request) -> Response:
        url = f"ws://{host}/media-bridge/call-1/1"
        ticket = {"call_id": "call-1", "media_url": url, "media_token": "token"}
        return JSONResponse(ticket, 201)

    async def no_status(request: Request) -> Response:
        return JSONResponse({}, 404)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/console/status", no_status),
            Mount("/console", StaticFiles(directory=CONSOLE)),
            Route("/api/browser-calls", create, methods=["POST"]),
            WebSocketRoute("/media-bridge/{path:path}", _return_frames),
        ]
    )


@asynccontextmanager
async def _echo_server() -> AsyncIterator[str]:
    port = free_port()
    app = _echo_app(f"127.0.0.1:{port}")
    config = uvicorn.Config(app, port=port, log_level="critical", lifespan="off")
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(POLL_SECONDS)
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.should_exit = server.force_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    """Run Chromium with a microphone that is silent."""
    with NamedTemporaryFile(suffix=".wav") as silence, wave.open(silence.name, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000))
        sound.close()
        async with _running(f"--use-file-for-fake-audio-capture={silence.name}") as browser:
            yield browser


@asynccontextmanager
async def _running(flag: str) -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, flag])
        yield browser
        await browser.close()


@asynccontextmanager
async def _open_page(browser: Browser, url: str, script: str = "") -> AsyncIterator[Page]:
    async with await browser.new_context(permissions=["microphone"]) as context:
        await context.add_init_script(path=PROBE)
        await context.add_init_script(script)
        page = await context.new_page()
        await page.goto(url, wait_until="networkidle")
        yield page


async def _onsets(page: Page, side: str, count: int) -> list[float]:
    """Wait until one side has made a number of sounds, and return when each began."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(found := await page.evaluate(f"probe.{side}")) < count:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        return [float(each) for each in found[:count]]


async def _first_sound_ms(browser: Browser, url: str) -> float:
    async with _open_page(browser, url) as page:
        await page.click("#talk")
        [heard_at] = await _onsets(page, "heard", 1)
        return heard_at - float(await page.evaluate("probe.clickedAt"))


async def measure_first_sound(browser: Browser, calls: int) -> list[float]:
    """The first call is left out: it starts what all later calls use."""
    LOG.parent.mkdir(exist_ok=True)
    plan = Plan(free_port(), ECHO, hangs_up=False, silence_timeout_ms=600_000, log=LOG)
    async with running(plan, {}, lambda *_: None) as stack:
        log_handlers_to(LOG)
        found = [await _first_sound_ms(browser, stack.url) for _ in range(calls + 1)]
        return found[1:]


async def measure_delay(browser: Browser, pulses: int) -> list[float]:
    """The first sounds may be spoken before the call is connected."""
    async with (
        _echo_server() as url,
        _open_page(browser, url, f"usePulses({PULSE_SECONDS}, {2 * pulses})") as page,
    ):
        await page.click("#talk")
        heard = await _onsets(page, "heard", pulses)
        spoken = await _onsets(page, "spoken", pulses)
        return [at - max(each for each in spoken if each < at) - JITTER_MS for at in heard]


async def measure(calls: int, pulses: int) -> dict[str, list[float]]:
    async with _chromium() as browser:
        delay = await measure_delay(browser, pulses)
        return {FIRST_SOUND: await measure_first_sound(browser, calls), DELAY: delay}


HEAD = """\
| what | p50 | p95 | limit of the p50 |
|---|--:|--:|--:|
"""


def _row(what: str, found_ms: list[float]) -> str:
    shown = (median(found_ms), percentile_95(found_ms), LIMITS_MS[what])
    figures = " | ".join(f"{each:.0f} ms" for each in shown)
    return f"| {what} | {figures} |"


def table(found: Mapping[str, list[float]]) -> str:
    return HEAD + "".join(f"{_row(what, found_ms)}\n" for what, found_ms in found.items())


def too_slow(found: Mapping[str, list[float]]) -> list[str]:
    return [what for what, found_ms in found.items() if median(found_ms) > LIMITS_MS[what]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--pulses", type=int, default=PULSES)
    options = parser.parse_args()
    found = asyncio.run(measure(options.calls, options.pulses))
    print(table(found), end="")
    SECTION.write(table(found))
    if slow := too_slow(found):
        sys.exit(f"slower than allowed: {'; '.join(slow)}")


if __name__ == "__main__":
    main()
