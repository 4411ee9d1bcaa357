"""Every request that a document shows works against the local stack, in the order of the page."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from tests.support.whole_calls import System

pytestmark = pytest.mark.asyncio(loop_scope="package")

ROOT = Path(__file__).resolve().parents[2]
DEPLOYED = {"operations.md"}
"""Its requests go to a stack on AWS."""
STAYS_ON_THE_LINE = "+15550115"
BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
CALL_ID = re.compile(r"\{call_id\}|\$?\bCALL_ID\b|\$CALL\b")


def requests(page: Path) -> list[str]:
    """The `curl` commands of its code blocks, each as one line."""
    found = []
    for block in BLOCK.findall(page.read_text()):
        lines = block.replace("\\\n", " ")
        found += re.findall(r"^\s*(curl (?:'[^']*'|[^'\n])*)", lines, re.MULTILINE)
    return found


PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page.name not in DEPLOYED and requests(page)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_every_request_of_a_page_works(system: System, page: Path) -> None:
    before = await live_calls(system)
    call_id = ""
    answers = []
    for request in requests(page):
        if CALL_ID.search(request):
            call_id = await a_live_call(system, call_id)
        answers.append((request, await status_of(system, CALL_ID.sub(call_id, request))))
        if "/transfer" in request:
            call_id = ""  # no second one before the first has begun: the next call, please
    await nobody_stays_on_the_line(system, before)
    assert [each for each in answers if not each[1].startswith("2")] == []


async def nobody_stays_on_the_line(system: System, before: set[str]) -> None:
    """Other tests of this system call the same numbers."""
    ours = await live_calls(system) - before
    for call_id in ours:
        await system.post(call_id, "hangup")
    for call_id in ours:
        await system.ended(call_id)


async def live_calls(system: System) -> set[str]:
    listed = (await system.api.get("/api/ai-calls/status")).json()["calls"]
    return {call["call_id"] for call in listed}


async def a_live_call(system: System, call_id: str) -> str:
    if call_id and (await system.record(call_id))["status"] == "streaming":
        return call_id
    call_id = await system.dialled(STAYS_ON_THE_LINE)
    await system.streaming(call_id)
    return call_id


async def status_of(system: System, request: str) -> str:
    host = str(system.api.base_url).removeprefix("http://").rstrip("/")
    words = [word.replace("localhost:3000", host) for word in shlex.split(request)]
    told = ("--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--noproxy", "*")
    process = await asyncio.create_subprocess_exec(*words, *told, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()
