"""The media container as a process whose time passes only while its test is served."""

import sys
from functools import partial
from pathlib import Path

import uvloop

from media_bridge.__main__ import main
from tests.support.patient_loop import following_loop

ROOT = Path(__file__).resolve().parents[2]
START = f"""
import sys
sys.path.append({str(ROOT)!r})
from tests.support.paced_container import run
run()
"""


def program(clock: Path) -> tuple[str, ...]:
    """Return the arguments with which Python starts it. Its own follow them."""
    return ("-c", START, str(clock))


def run() -> None:
    clock = Path(sys.argv.pop(1))
    uvloop.new_event_loop = partial(following_loop, clock)  # type: ignore[assignment]
    main()
