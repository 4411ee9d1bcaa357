"""The results of the drills that have run, so that `make drill` goes on where it stopped.

They belong to one state of the code that drills run. A change of it makes them void. Comments and
docstrings do not count, and neither do the modules that only print results.
"""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

from benchmarks.drills.drill import DrillResult

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".build" / "drills.json"
DRILLS = "benchmarks/drills"
FOLDERS = (
    "shared",
    "functions",
    "media_container",
    "local/aws",
    "local/simulators",
    DRILLS,
)
PRINTS = frozenset({"catalogue.py", "page.py", "results.py", "run.py", "table.py"})
"""Modules of drills that have no influence on the result of a run."""


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


@cache
def fingerprint(*more_folders: str) -> str:
    digest = sha256()
    for path in _sources(*more_folders):
        digest.update(path.relative_to(ROOT).as_posix().encode() + code_of(path.read_text()))
    return digest.hexdigest()


def code_of(source: str) -> bytes:
    """The program without its comments, its docstrings and its layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_docstring(each)]
    return ast.dump(tree).encode()


def _is_docstring(node: ast.stmt) -> bool:
    """Whether the statement is a string. Those behind attributes document them."""
    match node:
        case ast.Expr(ast.Constant(str())):
            return True
        case _:
            return False


def _sources(*more_folders: str) -> Iterator[Path]:
    drills = ROOT / DRILLS
    for folder in (*FOLDERS, *more_folders):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not (path.parent == drills and path.name in PRINTS):
                yield path
