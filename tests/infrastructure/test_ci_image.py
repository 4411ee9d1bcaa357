"""`.ci/image`: whether CI builds the image, and what it says if it does not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.translated import ROOT

TOOLS = ("bash", "cat", "env", "id", "mkdir", "rm", "sed", "tail", "timeout")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout on a machine with these tools only."""
    (tmp_path / ".ci").symlink_to(ROOT / ".ci")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def install(folder: Path, name: str, does: str) -> None:
    program = folder / "bin" / name
    program.write_text(f"#!/usr/bin/env bash\n{does}\n")
    program.chmod(0o755)


def image(folder: Path, step: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PATH": str(folder / "bin")}
    command = (".ci/image", step)
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_a_machine_without_an_engine_says_so_and_passes(folder: Path) -> None:
    assert image(folder, "prepare").returncode == 0
    done = image(folder, "check")
    assert (done.returncode, done.stdout) == (
        0,
        "The image was not built and not checked: "
        "no docker or podman works here, and none can be installed.\n",
    )


def test_what_takes_too_long_is_named(folder: Path) -> None:
    """As if `prepare` had been ended while it did this."""
    (folder / ".build").mkdir()
    (folder / ".build" / "image.log").write_text("podman is being installed\n")
    assert image(folder, "check").stdout.endswith("not checked: podman is being installed.\n")


def test_an_engine_whose_containers_cannot_install_packages_is_no_failure(folder: Path) -> None:
    install(folder, "docker", '[ "$1" != run ]')
    assert image(folder, "prepare").returncode == 0
    done = image(folder, "check")
    assert done.returncode == 0
    assert "no container can install packages here" in done.stdout


def test_an_image_that_fails_its_check_fails_the_run(folder: Path) -> None:
    install(folder, "docker", "exit 0")
    install(folder, "make", 'echo "$@"; exit 2')
    assert image(folder, "prepare").returncode == 0
    done = image(folder, "check")
    assert done.returncode == 2
    assert done.stdout.startswith(
        "image-check ENGINE=docker BASE_IMAGE=docker.io/library/python:3.13-slim "
    )
    assert "CHECK_ARGS=--engine docker" in done.stdout


def test_podman_gets_other_options_where_its_defaults_do_not_work(folder: Path) -> None:
    install(folder, "podman", 'case "$1" in run) exit 1 ;; esac')
    install(folder, "make", 'echo "$@"')
    assert image(folder, "prepare").returncode == 0
    done = image(folder, "check")
    assert done.returncode == 0
    assert "--engine-argument=--runtime=runc" in done.stdout
    assert "--run-argument=--ulimit=nproc=4096:4096" in done.stdout
    assert "BUILD_ARGS=--network=host --isolation=chroot" in done.stdout
