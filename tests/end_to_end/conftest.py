"""The whole system, once for all tests of this folder that need it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.whole_calls import System, whole_system


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with whole_system(tmp_path_factory.mktemp("system"), {}) as system:
        yield system
