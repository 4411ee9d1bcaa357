"""The rules of the packages: their order, which modules are pure, and what each plane may import.

`packages.py` draws them into docs/design.md. tests/test_architecture.py enforces them.
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
"""The folder of each package."""

LAYERS: Mapping[str, tuple[str, ...]] = {
    "phonebridge": (
        "errors",
        "liveness",
        "call",
        "ports",
        "timeline",
        "settings",
        "secrets",
        "stream_token",
        "http",
        "observability",
        "storage",
        "jobs",
        "outcomes",
        "telnyx",
        "switchboard",
    ),
    "media_bridge": (
        "deadline",
        "scrubbing",
        "audio",
        "commands",
        "tool_events",
        "events",
        "speech",
        "conversation",
        "telnyx_stream",
        "browser_frames",
        "bridge",
        "browser_bridge",
        "runtime",
        "openai",
        "__main__",
    ),
}
"""A module imports from its own layer and from earlier ones, never from a later one."""

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
    "shared/phonebridge/timeline.py",
    "shared/phonebridge/telnyx/call_control.py",
    "shared/phonebridge/telnyx/leg_name.py",
    "shared/phonebridge/telnyx/media.py",
    "shared/phonebridge/telnyx/request_bodies.py",
    "shared/phonebridge/telnyx/webhook*.py",
)
"""Modules that map values to values, without I/O and without a clock."""

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
    # A simulator must not share code with the product, or a fault in both would cancel out.
    "simulators": frozenset({"control_plane", "media_bridge", "phonebridge"}),
}
"""Packages that a package does not import."""


def folder(package: str) -> Path:
    return ROOT / PACKAGES[package] / package


def modules(package: str) -> dict[str, Path]:
    """Return every module of a package by its full name, including `__init__` modules."""
    base = ROOT / PACKAGES[package]
    return {_name(path.relative_to(base)): path for path in sorted(folder(package).rglob("*.py"))}


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Yield the full names of everything that a module imports. For `from x import y`, these are x
    and x.y."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def top_level(path: Path) -> set[str]:
    """Return the top-level names of what a module imports."""
    return {name.split(".")[0] for name in imports(path)}


def layer(module: str) -> str:
    """Return the layer of a module: `audio` for `media_bridge.audio.codecs`, empty for the package
    itself."""
    return module.split(".")[1] if "." in module else ""


def arrows(package: str) -> dict[str, set[str]]:
    """Return the layers of a package, each with the layers that its modules import."""
    found: dict[str, set[str]] = {}
    for name, path in modules(package).items():
        if mine := layer(name):
            inside = {each for each in imports(path) if each.startswith(f"{package}.")}
            found.setdefault(mine, set()).update({layer(each) for each in inside} - {mine})
    return found


def pure_modules() -> list[Path]:
    found = {path for pattern in PURE for path in ROOT.glob(pattern)}
    return sorted(found - {ROOT / exception for exception in NOT_PURE})
