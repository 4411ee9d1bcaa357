"""The results of the drills that have run, so that `make drill` goes on where it stopped.

They belong to one state of the code: a change of the code makes them void.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from benchmarks.drills.drill import DrillResult

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".build" / "drills.json"
FOLDERS = ("shared", "functions", "media_container", "local", "benchmarks/drills")


class Results(msgspec.Struct):
    code: str
    by_name: dict[str, DrillResult] = {}


def load(path: Path = RESULTS) -> Results:
    code = fingerprint()
    if path.exists():
        stored = msgspec.json.decode(path.read_bytes(), type=Results)
        if stored.code == code:
            return stored
    return Results(code)


def save(results: Results, path: Path = RESULTS) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(results))


def fingerprint(*more_folders: str) -> str:
    digest = sha256()
    for path in _sources(*more_folders):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _sources(*more_folders: str) -> Iterator[Path]:
    for folder in (*FOLDERS, *more_folders):
        yield from sorted((ROOT / folder).rglob("*.py"))
