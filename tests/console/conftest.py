"""One browser for all tests of the console, and a server for each."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from playwright.async_api import Browser

from simulators.audio.speech import CLIPS, SAMPLE_RATE_HZ
from tests.support.browser import chromium, is_missing
from tests.support.scripted_calls import ScriptedServer, scripted_server

SPOKEN = CLIPS["caller_book"]
SILENT_SECONDS = 4
"""The silence before the words of the microphone, in which an agent can greet."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if is_missing():
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no Chromium here: `make browser`"))


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    microphone = tmp_path_factory.mktemp("microphone") / "words.wav"
    silence = np.zeros(SILENT_SECONDS * SAMPLE_RATE_HZ, np.int16)
    soundfile.write(microphone, np.concatenate((silence, SPOKEN.samples)), SAMPLE_RATE_HZ)
    async with chromium(microphone) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="package")
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server
