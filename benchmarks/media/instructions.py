"""`make bench-instructions`: counts the instructions that a target executes per frame of a call,
with valgrind. It writes benchmarks/results/instructions.json.

The same code with the same data executes the same instructions, whatever else the machine does. So
an increase is real. `make bench-check` compares with instructions_base.json, which a new count does
not change.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.media import results
from benchmarks.media.container import PEERS, ROOT
from benchmarks.media.counted_call import (
    CALLER_FRAMES,
    INTERRUPTIONS,
    QUIET_FRAMES,
    SPOKEN_FRAMES,
    Heard,
)
from phonebridge.settings import ModelAudio

COUNTED = Path(__file__).resolve().parent.parent / "results" / "instructions.json"
BASE = Path(__file__).resolve().parent.parent / "results" / "instructions_base.json"
PROGRAM = ("-m", "benchmarks.media.counted_call")
OURS, RELAY, FAR_ENDS = "phonebridge", "relay", "nobody"
TOLERANCE = 1.02
"""Growth that all changes together may cause, relative to the base."""
RECOUNT = "count the commit that last changed instructions_base.json with what is here"
TIMEOUT_SECONDS = 300.0
LIBRARIES = ("msgspec", "numpy", "picows", "websockets")


class Count(Struct, frozen=True):
    """Instructions per frame of one target, without those of the far ends."""

    target: str
    audio: ModelAudio
    caller_frame: int
    """Instructions per caller frame while no one answers."""
    agent_frame: int
    """Instructions per 20 ms of agent speech, beyond those of the caller's frames. They include
    events, words, marks and interruptions of the turns."""


class Counts(Struct, frozen=True):
    counted_with: dict[str, str] = {}
    """Versions of everything that influences the count. Another build of Python executes other
    instructions."""
    counts: tuple[Count, ...] = ()

    def of(self, target: str, audio: ModelAudio) -> Count | None:
        return next((c for c in self.counts if (c.target, c.audio) == (target, audio)), None)


@dataclass(frozen=True, slots=True)
class Windows:
    """Instructions of one process in each window, including the far ends."""

    quiet: int
    conversation: int


def executed_instructions(report: str) -> int:
    """Read the total from the end of a cachegrind file."""
    for line in reversed(report.splitlines()):
        if line.startswith("summary:"):
            return int(line.removeprefix("summary:"))
    raise ValueError("the cachegrind file has no summary line")


def windows(sums: Iterable[int]) -> Windows:
    """Compute both windows from three totals: of the two copies that exited at the beginning of a
    window, and of the process itself."""
    quiet_began, conversation_began, ended = sorted(sums)
    return Windows(conversation_began - quiet_began, ended - conversation_began)


def per_frame(target: str, audio: ModelAudio, whole: Windows, far_ends: Windows) -> Count:
    caller_frame = (whole.quiet - far_ends.quiet) / QUIET_FRAMES
    conversation = whole.conversation - far_ends.conversation
    agent_frame = (conversation - caller_frame * CALLER_FRAMES) / SPOKEN_FRAMES
    return Count(target, audio, round(caller_frame), round(agent_frame))


def incomparable(base: Counts, here: Mapping[str, str]) -> str | None:
    """Say why counts made here cannot be compared with the base. None means that they can."""
    if "valgrind" not in here:
        return "valgrind is not installed"
    other = [
        f"{name} {base.counted_with.get(name, '-')} (here {here.get(name, '-')})"
        for name in sorted({*base.counted_with, *here})
        if base.counted_with.get(name) != here.get(name)
    ]
    return f"the base was counted with {', '.join(other)}; {RECOUNT}" if other else None


@dataclass(frozen=True, slots=True)
class Comparison:
    what: str
    counted: int
    base: int

    @property
    def has_grown(self) -> bool:
        return self.counted > self.base * TOLERANCE

    def __str__(self) -> str:
        change = self.counted / self.base - 1
        text = f"{self.what}: {self.counted:,} instructions, base {self.base:,} ({change:+.1%})"
        return f"{text}: increased by more than {TOLERANCE - 1:.0%}" if self.has_grown else text


def compare(counted: Count, base: Counts) -> Iterator[Comparison]:
    if known := base.of(counted.target, counted.audio):
        name = f"{counted.target} {counted.audio}"
        yield Comparison(f"{name}, caller's frame", counted.caller_frame, known.caller_frame)
        yield Comparison(f"{name}, agent's frame", counted.agent_frame, known.agent_frame)


def counted_with() -> dict[str, str]:
    known = results.versions()
    here = {name: known[name] for name in LIBRARIES}
    here |= {"python": sys.version, "libc": " ".join(platform.libc_ver())}
    here["machine"] = platform.machine()
    if valgrind := shutil.which("valgrind"):
        version = subprocess.run(
            (valgrind, "--version"), capture_output=True, text=True, check=True
        )
        here["valgrind"] = version.stdout.strip().removeprefix("valgrind-")
    return here


def count(targets: Sequence[str]) -> Iterator[Count]:
    for audio in ModelAudio:
        far_ends = _windows(FAR_ENDS, audio)
        for target in targets:
            yield per_frame(target, audio, _windows(target, audio), far_ends)


def _windows(target: str, audio: ModelAudio) -> Windows:
    with tempfile.TemporaryDirectory() as folder:
        # %p is the process number: each copy of the process writes a file of its own.
        tool = ("--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/%p")
        evidence = _play(("valgrind", "--quiet", *tool), target, audio)
        if target != FAR_ENDS and evidence.clears < INTERRUPTIONS:
            raise SystemExit(f"{target} {audio}: the call ended too early, {evidence}")
        return windows(executed_instructions(path.read_text()) for path in Path(folder).iterdir())


def _play(counter: Sequence[str], target: str, audio: ModelAudio) -> Heard:
    done = subprocess.run(
        (*counter, sys.executable, *PROGRAM, target),
        cwd=ROOT,
        env=environ(audio),
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
    )
    if done.returncode:
        raise SystemExit(f"{target} {audio}: {done.stderr.decode(errors='replace')}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Heard)


def environ(audio: ModelAudio) -> dict[str, str]:
    """The environment of a counted process. It inherits nothing, because its size shifts addresses
    in memory."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": str(PEERS),
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENBLAS_CORETYPE": "Haswell",  # not the variant that suits this machine best
        "MODEL_AUDIO": audio.value,
        "OPENAI_API_KEY": "sk-local",
        "OPENAI_REALTIME_URL": "ws://localhost:1/v1/realtime",
        "CALLS_TABLE": "none",
        "STREAM_TOKEN_SECRET": "none",
        "TELNYX_API_KEY": "none",
    }


def load(path: Path = COUNTED) -> Counts:
    return msgspec.json.decode(path.read_bytes(), type=Counts) if path.exists() else Counts()


def save(counts: Counts, path: Path = COUNTED) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(counts), indent=1) + b"\n")


def main() -> None:
    here = counted_with()
    if "valgrind" not in here:
        sys.exit("valgrind is not installed")
    counts = []
    for each in count((OURS, RELAY)):
        print(
            f"{each.target:<12} {each.audio:<7}{each.caller_frame:>9,} for a caller's frame,"
            f"{each.agent_frame:>9,} for an agent's",
            flush=True,
        )
        counts.append(each)
    save(Counts(here, tuple(counts)))


if __name__ == "__main__":
    main()
