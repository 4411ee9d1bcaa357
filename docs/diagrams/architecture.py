"""The rules of the packages: their order, which are pure, and what each plane may import.

`packages.py` draws them into docs/design.md; tests/test_architecture.py holds the code to them.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES: Mapping[str, str] = {
    "phonebridge": "shared",
    "control_plane": "functions",
    "media_bridge": "media_container",
    "simulators": "local",
}
"""Each package and the folder it is imported from."""

LAYERS: Mapping[str, tuple[str, ...]] = {
    "phonebridge": (
        "errors",
        "liveness",
        "call",
        "ports",
        "settings",
        "secrets",
        "stream_token",
        "http",
        "observability",
        "storage",
        "telnyx",
        "switchboard",
    ),
    "media_bridge": (
        "audio",
        "commands",
        "events",
        "speech",
        "conversation",
        "telnyx_stream",
        "bridge",
        "runtime",
        "openai",
        "__main__",
    ),
}
"""A module imports from its own layer and from those before it, never from a later one."""

PURE = (
    "functions/control_plane/pricing.py",
    "media_container/media_bridge/*.py",
    "media_container/media_bridge/audio/*.py",
    "media_container/media_bridge/conversation/*.py",
    "media_container/media_bridge/openai/*.py",
    "media_container/media_bridge/speech/*.py",
    "shared/phonebridge/call/*.py",
    "shared/phonebridge/http/addresses.py",
    "shared/phonebridge/http/signature.py",
    "shared/phonebridge/liveness.py",
    "shared/phonebridge/stream_token.py",
    "shared/phonebridge/telnyx/call_control.py",
    "shared/phonebridge/telnyx/leg_name.py",
    "shared/phonebridge/telnyx/media.py",
    "shared/phonebridge/telnyx/webhook*.py",
)
"""Values in, values out: no I/O and no clock."""

NOT_PURE = (
    "media_container/media_bridge/__main__.py",
    "media_container/media_bridge/openai/client.py",
)
"""Exceptions from the patterns of `PURE`."""

INPUT_AND_OUTPUT = {
    "asyncio",
    "boto3",
    "botocore",
    "concurrent",
    "http",
    "httpx",
    "os",
    "picows",
    "random",
    "requests",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "starlette",
    "subprocess",
    "threading",
    "time",
    "urllib3",
    "uvicorn",
    "uvloop",
    "websockets",
}
"""Packages that a pure module does not import."""

FORBIDDEN: Mapping[str, frozenset[str]] = {
    "phonebridge": frozenset({"control_plane", "media_bridge", "simulators"}),
    "media_bridge": frozenset({"control_plane", "simulators"}),
    "control_plane": frozenset({"media_bridge", "simulators"}),
    # A fault of the product must not cancel out with the same fault of its counterpart.
    "simulators": frozenset({"control_plane", "media_bridge", "phonebridge"}),
}
"""Packages that a package does not import."""


def folder(package: str) -> Path:
    return ROOT / PACKAGES[package] / package


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its full name, `__init__` modules included."""
    base = ROOT / PACKAGES[package]
    return {_name(path.relative_to(base)): path for path in sorted(folder(package).rglob("*.py"))}


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it: of `from x import y` both x and x.y."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def top_level(path: Path) -> set[str]:
    """Top-level names of what a module imports."""
    return {name.split(".")[0] for name in imports(path)}


def layer(module: str) -> str:
    """`audio` of `media_bridge.audio.codecs`; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def arrows(package: str) -> dict[str, set[str]]:
    """The layers of a package, each with the layers that its modules import."""
    found: dict[str, set[str]] = {}
    for name, path in modules(package).items():
        if mine := layer(name):
            inside = {each for each in imports(path) if each.startswith(f"{package}.")}
            found.setdefault(mine, set()).update({layer(each) for each in inside} - {mine})
    return found


def pure_modules() -> list[Path]:
    found = {path for pattern in PURE for path in ROOT.glob(pattern)}
    return sorted(found - {ROOT / exception for exception in NOT_PURE})
