"""The targets of the Makefile, as `make help` lists them."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def make(*targets: str) -> str:
    command = ("make", "--silent", *targets)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_is_the_default_and_describes_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    described = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", make(), re.MULTILINE))
    assert set(described) == set(phony.split())
    assert make("help") == make()
