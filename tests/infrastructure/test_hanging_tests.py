"""A test that hangs fails with its name, instead of keeping everybody waiting."""

import subprocess
import sys
from pathlib import Path

from aws.template import TEMPLATE

SETTINGS = TEMPLATE.parent / "pyproject.toml"
HANGS = """
import asyncio

import pytest

@pytest.mark.timeout(1)
async def test_that_hangs():
    await asyncio.Event().wait()

def test_after_it():
    pass
"""


def test_a_test_that_hangs_fails_with_its_name_and_the_others_run(tmp_path: Path) -> None:
    path = tmp_path / "test_hangs.py"
    path.write_text(HANGS)
    options = ("-c", str(SETTINGS), "-p", "no:cacheprovider")
    program = (sys.executable, "-m", "pytest", *options, str(path))
    found = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "::test_that_hangs - Failed: Timeout" in found.stdout
    assert "1 failed, 1 passed" in found.stdout
