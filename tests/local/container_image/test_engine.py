"""What an engine is asked, and how its answers are read."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from container_image.engine import Engine, EngineFailed


def engine_that(folder: Path, does: str) -> Engine:
    program = folder / "engine"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    return Engine((str(program), "--global"), "media", ("--ulimit=nproc=100",))


def test_options_stand_where_the_engine_looks_for_them(tmp_path: Path) -> None:
    command = engine_that(tmp_path, "exit 0").run_command("--rm")
    assert command[1:4] == ("--global", "run", "--rm")
    assert command[-5:] == ("--ulimit=nproc=100", "media", "python", "-m", "media_bridge")


def test_an_engine_that_fails_is_quoted(tmp_path: Path) -> None:
    engine = engine_that(tmp_path, "echo no such image >&2; exit 125")
    with pytest.raises(EngineFailed, match=r"failed \(125\): no such image"):
        engine.layers_mb()


def test_a_container_that_ends_out_of_order_is_told(tmp_path: Path) -> None:
    engine = engine_that(tmp_path, '[ "$2" = wait ] && echo 137 || exit 0')
    with pytest.raises(EngineFailed, match="exit code 137"):
        engine.stop("container")


@pytest.mark.parametrize(
    "printed",
    ["2026-11-30T21:04:08.123456789Z", "2026-11-30T22:04:08.123456+01:00"],
    ids=["docker", "podman"],
)
def test_engines_tell_when_a_container_started(tmp_path: Path, printed: str) -> None:
    engine = engine_that(tmp_path, f"echo '\"{printed}\"'")
    assert engine.started_at("container") == datetime(2026, 11, 30, 21, 4, 8, 123456, UTC)
