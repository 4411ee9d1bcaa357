"""The image of the media container, as far as it can be judged without building it."""

import json
import re
import signal
from importlib.metadata import distribution
from pathlib import Path

import pytest

from aws.stack import free_port
from aws.template import load_template
from tests.support.processes import answering, exit_code, output_of, python

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "media_container/Dockerfile").read_text()

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for line in re.sub(r"^#.*\n", "", TEXT, flags=re.M).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if word and found:
            found[-1].append((word, " ".join(rest.split())))
    return found


def arguments(word: str) -> list[str]:
    """Return the arguments of an instruction in the last stage, which becomes the image."""
    return [rest for name, rest in stages()[-1] if name == word]


def copied_from_context() -> list[tuple[str, str]]:
    copies = [rest for stage in stages() for name, rest in stage if name == "COPY"]
    return [tuple(c.split()) for c in copies if not c.startswith("--from=")]  # type: ignore[misc]


def test_every_stage_has_the_python_of_the_lambdas() -> None:
    (runtime,) = load_template().properties("SharedLayer")["CompatibleRuntimes"]
    assert re.findall(r"(?m)^ARG BASE_IMAGE=(.+)$", TEXT) == [
        f"{runtime.replace('python', 'python:')}-slim"
    ]
    assert all("$BASE_IMAGE" in stage[0][1].split() for stage in stages())


def test_nothing_runs_on_the_target_platform() -> None:
    """An x86 machine without emulation builds for arm64."""
    *builders, image = stages()
    assert all("--platform=$BUILDPLATFORM" in stage[0][1].split() for stage in builders)
    assert "RUN" not in {name for name, _ in image}
    (runtime,) = load_template().properties("SharedLayer")["CompatibleRuntimes"]
    version = runtime.removeprefix("python")
    [install] = [rest for stage in builders for name, rest in stage if "pip install" in rest]
    assert f"--python-version={version}" in install
    assert "--platform=manylinux2014_$machine" in install


def test_byte_code_is_valid_whatever_the_builder_does_to_times() -> None:
    [compile_all] = [rest for stage in stages() for _, rest in stage if "compileall" in rest]
    assert "--invalidation-mode unchecked-hash /packages /app" in compile_all


def test_the_image_is_made_of_what_other_stages_and_the_context_hold() -> None:
    words = {name for stage in stages() for name, _ in stage}
    assert words <= {
        "FROM",
        "ARG",
        "ENV",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "EXPOSE",
        "CMD",
    }  # no ADD
    assert len(stages()) > 1
    names = {
        rest.partition(" AS ")[2] for stage in stages() for name, rest in stage if name == "FROM"
    }
    sources = re.findall(r"--from=(\S+)", TEXT)
    assert sources
    assert set(sources) <= names


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
    """What the container holds, as links: /app with the code, /packages with what is locked."""
    (tmp_path / "app").mkdir()
    (tmp_path / "packages").mkdir()
    for source, target in copied_from_context():
        if (ROOT / source).is_dir():
            (tmp_path / target.lstrip("/")).symlink_to(ROOT / source)
    lock = (ROOT / "media_container/requirements.txt").read_text()
    for name in re.findall(r"(?m)^([\w.-]+)==", lock):
        for top in {file.parts[0] for file in distribution(name).files or []} - {".."}:
            link = tmp_path / "packages" / top
            if not link.exists():
                link.symlink_to(Path(str(distribution(name).locate_file(top))))
    return tmp_path


@pytest.fixture
def environ(image: Path, dynamodb_address: str, table_name: str) -> dict[str, str]:
    """Return the environment that the image and the template set."""
    (command,) = arguments("ENV")
    assert dict(pair.split("=") for pair in command.split())["PYTHONPATH"] == "/packages"
    return {
        "PYTHONPATH": str(image / "packages"),
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "CALLS_TABLE": table_name,
        "OPENAI_API_KEY": "sk-test",
        "TELNYX_API_KEY": "KEY-test",
        "STREAM_TOKEN_SECRET": "secret",
    }


async def test_its_command_runs_with_nothing_but_what_the_image_holds(
    image: Path, environ: dict[str, str]
) -> None:
    _, *command = json.loads(*arguments("CMD"))
    port = str(free_port())
    # -S: no site directories, hence neither this environment's packages nor the repository.
    started = ("-S", *command, "--host", "127.0.0.1", "--port", port)
    async with python(*started, environ=environ, cwd=image / "app") as process:
        await answering(f"http://127.0.0.1:{port}/healthz")
        process.send_signal(signal.SIGTERM)
        assert await exit_code(process) == 0


async def test_a_package_that_the_lock_forgot_would_be_missed(
    image: Path, environ: dict[str, str]
) -> None:
    (image / "packages" / "picows").unlink()
    async with python("-S", "-m", "media_bridge", environ=environ, cwd=image / "app") as process:
        assert "No module named 'picows'" in await output_of(process)
