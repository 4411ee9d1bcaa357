"""The whole system, once in each test process, for the tests of this folder that need it.

Most of a conversation is waiting, so several processes share these tests (`.ci/tests`,
`tests/support/story_scheduling.py`).
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.whole_calls import EXAMPLE_PORT, System, whole_system


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    servers = f"127.0.0.1:8000,127.0.0.1:{EXAMPLE_PORT}"  # the first as docs/tools.md starts it
    given = {"TOOL_HOSTS_ALLOWED": servers}
    async with whole_system(tmp_path_factory.mktemp("system"), given) as system:
        yield system
