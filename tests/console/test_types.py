"""The JSDoc types of the console agree with its code, as TypeScript checks them."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TSC = ROOT / ".build/typescript_client/node_modules/.bin/tsc"
"""Made by `make test`."""


@pytest.mark.skipif(
    not (TSC.exists() or os.environ.get("CI") == "true"), reason="no TypeScript here: `make test`"
)
def test_the_types_in_comments_agree_with_the_code() -> None:
    command = (TSC, "-p", ROOT / "tests/support/console_types")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
