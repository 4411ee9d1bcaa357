"""docs/security.md names a test for each threat, and each of these tests exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## Destinations")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| threat ")
]


def functions_in(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_the_page_lists_threats() -> None:
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_threat_has_a_test_that_exists(row: list[str]) -> None:
    threat, protection, test = row
    assert threat
    assert protection
    named = re.fullmatch(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", test)
    assert named, test
    path, function = named.groups()
    assert (ROOT / path).is_file()
    assert function is None or function in functions_in(ROOT / path)
