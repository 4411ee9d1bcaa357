"""The image of the media container, as far as it can be judged without building it."""

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from template import load_template

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "media_container/Dockerfile").read_text()

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for line in re.sub(r"^#.*\n", "", TEXT, flags=re.M).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if word:
            found[-1].append((word, " ".join(rest.split())))
    return found


def arguments(word: str) -> list[str]:
    """Of an instruction in the last stage, which is the image."""
    return [rest for name, rest in stages()[-1] if name == word]


def copied_from_context() -> list[tuple[str, str]]:
    copies = [rest for stage in stages() for name, rest in stage if name == "COPY"]
    return [tuple(c.split()) for c in copies if not c.startswith("--from=")]  # type: ignore[misc]


def test_every_stage_has_the_python_of_the_lambdas() -> None:
    (runtime,) = load_template().properties("SharedLayer")["CompatibleRuntimes"]
    bases = {rest.split()[0] for stage in stages() for name, rest in stage if name == "FROM"}
    assert bases == {f"{runtime.replace('python', 'python:')}-slim"}


def test_packages_are_installed_from_the_lock_alone() -> None:
    installs = [rest for stage in stages() for name, rest in stage if "pip install" in rest]
    (install,) = installs
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install.split())
    assert not any("pip" in rest for rest in arguments("RUN"))


def test_it_does_not_run_as_root() -> None:
    (user,) = arguments("USER")
    assert int(user) > 0
    after = [name for name, _ in stages()[-1][stages()[-1].index(("USER", user)) :]]
    assert after == ["USER", "EXPOSE", "CMD"]


def test_signals_reach_python() -> None:
    (command,) = arguments("CMD")
    assert json.loads(command) == ["python", "-m", "media_bridge"]
    assert not arguments("ENTRYPOINT")


def test_it_listens_where_the_load_balancer_calls() -> None:
    assert arguments("EXPOSE") == [str(load_template().properties("MediaTargetGroup")["Port"])]


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    ignored, *kept = (ROOT / ".dockerignore").read_text().split()
    assert ignored == "*"
    assert {line for line in kept if line.startswith("!")} == {
        f"!{source}" for source, _ in copied_from_context()
    }
    assert all((ROOT / source).exists() for source, _ in copied_from_context())


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The working directory of the container: links to what it would copy."""
    for source, target in copied_from_context():
        if (ROOT / source).is_dir():
            (tmp_path / target).symlink_to(ROOT / source)
    return tmp_path


def test_the_code_in_the_image_is_all_the_code_it_needs(image: Path) -> None:
    # -S: no site directories, hence not the editable install of the whole repository.
    finished = subprocess.run(
        [sys.executable, "-S", "-c", "import media_bridge.__main__"],
        cwd=image,
        env={"PYTHONPATH": sysconfig.get_path("purelib")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
