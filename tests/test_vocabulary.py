"""The names of the code: the field's terms, verbs for functions, one name for one thing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("functions", "shared/phonebridge", "media_container/media_bridge", "local", "docs")

DIALECT = re.compile(
    r"^_?(?:told|heard)$|^_?(?:told|heard)_"
    r"|(?:^|_)(?:PATIENCE|MOST|LONGEST|LARGEST|SHORTEST|DEEPEST)(?:_|$)"
)
"""Words that the field has other terms for: TIMEOUT, MAX_ and MIN_, decode, encode, played."""

IRREGULAR = (
    "begun|built|cut|drawn|found|given|held|hung|kept|known|learnt|left|lost|made|"
    "met|put|read|said|sent|spoken|sung|taken|thrown|told|heard|written"
)
PARTICIPLE = re.compile(rf"^_?(?:{IRREGULAR}|[a-z]+ed)$")
VERBS = {"cut", "feed", "proceed", "put", "read", "succeed"}
"""Verbs that look like participles."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


TREES = list(trees())


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Everything a module gives a name to: functions, classes, parameters, variables,
    attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


@pytest.mark.parametrize(("path", "tree"), TREES, ids=[path for path, _ in TREES])
def test_names_are_the_terms_of_the_field(path: str, tree: ast.Module) -> None:
    assert [f"{path}:{line} {name}" for line, name in names(tree) if DIALECT.search(name)] == []


@pytest.mark.parametrize(("path", "tree"), TREES, ids=[path for path, _ in TREES])
def test_functions_are_verbs_and_never_bare_participles(path: str, tree: ast.Module) -> None:
    participles = [
        f"{path}:{function.lineno} {function.name}"
        for function in functions(tree)
        if PARTICIPLE.match(function.name) and function.name.strip("_") not in VERBS
    ]
    assert participles == []


def test_every_class_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = {}
    for path, tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(f"{path}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
