"""Distributes tests that take real time over test processes.

Each test goes to the next free process. But the tests of a module stay together if they share a
fixture of that module: a conversation that all of them examine is held once.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[2]
SHARED_FIXTURE = re.compile(r'fixture\(scope="(module|package)"')


def story_scheduling(config: pytest.Config, log: Any) -> Any:
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = story_of  # for this method, xdist has its schedulers subclassed
    return scheduler


def story_of(nodeid: str) -> str:
    """Return the name under which tests stay together."""
    module = nodeid.partition("::")[0]
    return module if has_shared_fixture(module) else nodeid


@cache
def has_shared_fixture(module: str) -> bool:
    return SHARED_FIXTURE.search((ROOT / module).read_text()) is not None
