"""Draws the packages and their import rules into docs/design.md, from the code.

python docs/diagrams/packages.py
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from diagrams.architecture import LAYERS, PACKAGES, ROOT, arrows, folder, pure_modules

PAGE = ROOT / "docs" / "design.md"
BEGIN, END = "<!-- packages: begin -->\n", "<!-- packages: end -->\n"


def section() -> str:
    trees = "\n".join(line for package in PACKAGES for line in _tree(package))
    graphs = "\n".join(_graph(package) for package in LAYERS)
    return f"""Drawn from the code by `make diagrams`. A pure module (marked `*`) performs no I/O
and reads no clock.

```text
{trees}
```

A module imports from its own layer and from the layers below it. An arrow means "imports"; arrows
that follow from others are left out.

{graphs}"""


def rewritten(page: str) -> str:
    """Return the page with a new section between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section()}\n{END}{after}"


def _tree(package: str) -> Iterator[str]:
    top = folder(package)
    yield f"{top.relative_to(ROOT)}/"
    if modules := _modules(top):
        yield f"  {modules}"
    for inner in sorted(path for path in top.rglob("*") if path.is_dir() and _modules(path)):
        name = f"{inner.relative_to(top)}/"
        yield f"  {name:<16} {_modules(inner)}"


def _modules(path: Path) -> str:
    pure = set(pure_modules())
    return " ".join(
        f"{each.stem}{'*' if each in pure else ''}"
        for each in sorted(path.glob("*.py"))
        if each.stem != "__init__"
    )


def _graph(package: str) -> str:
    direct = arrows(package)
    edges = "\n".join(
        f"    {source} --> {target}"
        for source in LAYERS[package]
        for target in sorted(_nearest(source, direct), key=LAYERS[package].index)
    )
    summary = ast.get_docstring(ast.parse((folder(package) / "__init__.py").read_text())) or package
    lines = " ".join(summary.split())
    return f"`{package}`: {lines}\n\n```mermaid\nflowchart BT\n{edges}\n```\n"


def _nearest(source: str, direct: dict[str, set[str]]) -> set[str]:
    """Return what a layer imports, without what one of these imports in turn."""
    targets = direct.get(source, set())
    indirect = {far for near in targets for far in _below(near, direct)}
    return targets - indirect


def _below(layer: str, direct: dict[str, set[str]]) -> set[str]:
    """Return everything that a layer imports, directly or indirectly."""
    found: set[str] = set()
    waiting = [layer]
    while waiting:
        new = direct.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
