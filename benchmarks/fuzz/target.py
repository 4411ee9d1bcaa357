"""What is fuzzed: a target plays rounds, and a round gives many inputs to one reader."""

import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

ROUND_CPU_SECONDS = 60.0
"""A round takes about a second. One that takes so much is in an endless loop."""
MAX_INPUT_SHOWN = 400


class Hang(Exception):
    """A round used more CPU than any round needs."""


class Broken(AssertionError):
    """A law of the target does not hold."""


@dataclass(slots=True)
class Tally:
    inputs: int = 0
    refused: int = 0
    """How many inputs were refused with an error of ours, or reported as unreadable."""
    last_input: bytes = b""

    def count(self, message: bytes) -> None:
        self.inputs += 1
        self.last_input = message


Play = Callable[[Random, Tally], None]
"""Play one round. Whatever it raises is a failure."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    inputs: int
    """How many inputs a whole run gives it."""
    open: Callable[[], AbstractContextManager[Play]]
    handler: str = ""
    """The module of the Lambda handler that is fuzzed, if it is one."""


@dataclass(frozen=True, slots=True)
class Failure:
    round: int
    error: str
    place: str
    last_input: str

    def __str__(self) -> str:
        return f"round {self.round}: {self.error} at {self.place}; last input {self.last_input}"


@dataclass(slots=True)
class Outcome:
    """The rounds of a target up to now."""

    rounds: int = 0
    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    grown_bytes: int = 0
    """Memory that was held at the end of a run, and not after its first tenth."""
    failures: list[Failure] = field(default_factory=list)


def play_round(
    play: Play,
    chance: Random,
    number: int,
    outcome: Outcome,
    cpu_seconds: float = ROUND_CPU_SECONDS,
) -> None:
    tally = Tally()
    try:
        with limited_cpu(cpu_seconds):
            play(chance, tally)
        if not tally.inputs:
            raise Broken("the round gave its reader nothing")
    except Exception as error:  # noqa: BLE001 - every exception is what this program looks for
        outcome.failures.append(_failure(number, error, tally))
    outcome.rounds += 1
    outcome.inputs += tally.inputs
    outcome.refused += tally.refused


def _failure(number: int, error: Exception, tally: Tally) -> Failure:
    while isinstance(error, ExceptionGroup):
        inner = error.exceptions[0]
        if not isinstance(inner, Exception):
            break
        error = inner
    last = traceback.extract_tb(error.__traceback__)[-1]
    shown = repr(tally.last_input[:MAX_INPUT_SHOWN])
    text = f"{type(error).__name__}: {str(error)[:MAX_INPUT_SHOWN]}"
    return Failure(number, text, f"{Path(last.filename).name}:{last.lineno}", shown)


@contextmanager
def limited_cpu(seconds: float) -> Iterator[None]:
    """Raise `Hang` once the process has used so much CPU. Other programs do not count."""
    before = signal.signal(signal.SIGVTALRM, _raise_hang)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _raise_hang(number: int, frame: FrameType | None) -> None:
    raise Hang("the round does not end")
