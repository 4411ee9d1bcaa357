"""The locks: complete, hashed, free of download addresses, in step with what they were compiled
from and with what the code imports."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.translated import functions

ROOT = Path(__file__).parents[2]
SOURCES = [
    ROOT / "shared/requirements.in",
    ROOT / "functions/requirements.in",
    ROOT / "media_container/requirements.in",
    ROOT / "local/requirements.in",
    ROOT / ".ci/requirements-sam.in",
    ROOT / ".ci/requirements-openapi.in",
    ROOT / ".ci/requirements-browser.in",
]

each_lock = pytest.mark.parametrize(
    "source", SOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


def canonical(name: str) -> str:
    """PyPA, "Names and normalization"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(source: Path) -> list[str]:
    text = re.sub(r" *#.*", "", source.read_text())
    return [line for line in text.splitlines() if line]


def direct(source: Path) -> dict[str, str]:
    """Package and version of each requirement, those of included files too."""
    pins: dict[str, str] = {}
    for line in lines(source):
        if line.startswith("-r "):
            pins |= direct(source.parent / line.removeprefix("-r "))
        elif not line.startswith("-c "):
            name, version = line.split("==")
            pins[canonical(name.split("[")[0])] = version
    return pins


def entries(source: Path) -> list[tuple[str, str, str]]:
    """Name, version and the rest (marker and hashes) of every locked package."""
    text = source.with_suffix(".txt").read_text().replace("\\\n", " ")
    found = [re.match(r"([\w.-]+)==(\S+)(.*)", line) for line in text.splitlines()]
    return [(canonical(m[1]), m[2], m[3]) for m in found if m]


def locked_versions(source: Path) -> dict[str, set[str]]:
    """Versions of every locked package: more than one where they differ by Python version."""
    versions: dict[str, set[str]] = {}
    for name, version, _ in entries(source):
        versions.setdefault(name, set()).add(version)
    return versions


@each_lock
def test_every_package_is_locked_by_hash(source: Path) -> None:
    assert entries(source)
    assert [name for name, _, rest in entries(source) if "--hash=sha256:" not in rest] == []


@each_lock
def test_a_lock_names_packages_and_never_where_they_come_from(source: Path) -> None:
    text = source.with_suffix(".txt").read_text()
    assert re.findall(r"\S*://\S*|--[a-z-]*(?:index|links)\S*", text) == []


@each_lock
def test_a_lock_is_in_step_with_its_source(source: Path) -> None:
    versions = locked_versions(source)
    assert {name: {version} for name, version in direct(source).items()} == {
        name: versions.get(name) for name in direct(source)
    }


@each_lock
def test_every_requirement_says_what_it_is_for(source: Path) -> None:
    text = source.read_text()
    assert text.startswith("# ")
    if len(lines(source)) > 1:
        assert [r for r in re.findall(r"^\w.*", text, re.M) if " # " not in r] == []


def test_both_planes_and_the_developer_run_the_same_versions() -> None:
    developer = locked_versions(ROOT / "local/requirements.in")
    for folder in ("shared", "functions", "media_container"):
        deployed = locked_versions(ROOT / folder / "requirements.in")
        assert deployed == {name: developer[name] for name in deployed}


def imported_packages(*paths: Path) -> Iterator[str]:
    """Top-level names of what the modules import, anywhere in them."""
    return (name.split(".")[0] for name in imported_modules(*paths))


def imported_modules(*paths: Path) -> Iterator[str]:
    """Full names of what the modules import; of `from x import y` both `x` and `x.y`."""
    for path in paths:
        for node in ast.walk(without_type_checking(ast.parse(path.read_text()))):
            match node:
                case ast.Import(names=names):
                    yield from (alias.name for alias in names)
                case ast.ImportFrom(module=str(module), names=names, level=0):
                    yield module
                    yield from (f"{module}.{alias.name}" for alias in names)


def without_type_checking(tree: ast.Module) -> ast.Module:
    """What stands under `if TYPE_CHECKING:` is never imported."""
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree


@pytest.mark.parametrize(
    ("code", "requirements"),
    [
        ("shared/phonebridge", ["shared"]),
        ("media_container/media_bridge", ["media_container"]),
        ("functions", ["functions", "shared"]),
    ],
)
def test_what_is_deployed_imports_only_what_is_deployed_with_it(
    code: str, requirements: list[str]
) -> None:
    given = {
        name
        for folder in requirements
        for name in locked_versions(ROOT / folder / "requirements.in")
    }
    ours = {"phonebridge", "media_bridge"} | {path.stem for path in (ROOT / code).iterdir()}
    assert not not_among(given, set(imported_packages(*(ROOT / code).rglob("*.py"))) - ours)


def not_among(packages: set[str], modules: set[str]) -> set[str]:
    """Modules that neither Python itself nor any of the packages brings along."""
    distributions = packages_distributions()
    foreign = modules - set(sys.stdlib_module_names)
    providers = {name: {canonical(d) for d in distributions.get(name, [])} for name in foreign}
    return {name for name in foreign if not providers[name] & packages}


def modules_of(handler: str) -> set[Path]:
    """Return the handler's module and everything in functions/ that it imports, directly or
    indirectly."""
    found: set[Path] = set()
    waiting = [ROOT / "functions" / f"{handler.split('.')[0]}.py"]
    while waiting:
        path = waiting.pop()
        if path.exists() and path not in found:
            found.add(path)
            names = [name.replace(".", "/") for name in imported_modules(path)]
            waiting += [ROOT / "functions" / f"{name}.py" for name in names]
    return found


@pytest.mark.parametrize("name", functions())
def test_a_lambda_is_built_with_what_its_handler_imports(name: str) -> None:
    rules = (ROOT / "functions/Makefile").read_text()
    has_packages = re.search(rf"(?m)^build-.*\b{name}\b.*:", rules)
    folders = ["shared", "functions"] if has_packages else ["shared"]
    given = {
        each for folder in folders for each in locked_versions(ROOT / folder / "requirements.in")
    }
    modules = modules_of(functions()[name]["Handler"])
    assert modules
    ours = {"phonebridge", "control_plane"} | {path.stem for path in modules}
    assert not not_among(given, set(imported_packages(*modules)) - ours)


def test_the_lock_of_the_typescript_client_is_like_the_others() -> None:
    """Complete, hashed, and free of download addresses (npm: `omit-lockfile-registry-resolved`)."""
    folder = ROOT / "tests/support/typescript_client"
    lock = json.loads((folder / "package-lock.json").read_text())
    wanted = json.loads((folder / "package.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [
        name for name, entry in packages.items() if not entry["integrity"].startswith("sha")
    ] == []
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version
