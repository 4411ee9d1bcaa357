"""`make image-check` against an engine that runs the container's command without a container."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from container_image.engine import Engine, EngineFailed
from container_image.measurement import Measurement
from container_image.task_environment import task_environment

ROOT = Path(__file__).parents[2]
ENGINE = """\
#!/bin/bash
cd {folder}
case "$1" in
run)
  echo "$*" >>runs
  [[ " $* " == *" tar "* ]] && exec head -c {layer_bytes} /dev/zero
  for each in "$@"; do
    case "$each" in --env=*) export "${{each#--env=}}" ;; --port=*) port="$each" ;; esac
  done
  (
    {python} -m media_bridge --host=127.0.0.1 "$port" & echo $! >pid
    wait $!; echo $? >code
  ) >/dev/null 2>&1 &
  until [ -s pid ]; do sleep 0.01; done
  cat pid ;;
inspect) [[ "$2" == *StartedAt* ]] && date -u +'"%Y-%m-%dT%H:%M:%S.%NZ"' || cat pid ;;
kill) kill -TERM "$(cat pid)" ;;
# What is not the first process of a container may end by the signal itself.
wait) until [ -s code ]; do sleep 0.01; done; sed 's/^143$/0/' code ;;
rm) rm -f pid code ;;
esac
"""


def check(folder: Path, layer_bytes: int) -> subprocess.CompletedProcess[str]:
    engine = folder / "podman"
    engine.write_text(ENGINE.format(folder=folder, python=sys.executable, layer_bytes=layer_bytes))
    engine.chmod(0o755)
    command = [sys.executable, "local/image_check.py", "--engine", "podman", "--image", "media"]
    environ = os.environ | {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run(
        [*command, "--no-call"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )


def test_each_budget_has_its_line(tmp_path: Path) -> None:
    done = check(tmp_path, 1_000_000)
    assert [line[6:46].strip() for line in done.stdout.splitlines()] == [
        "own layers, compressed",
        "start to /healthz",
        "memory, idle",
        "SIGTERM, idle",
        "SIGTERM, during start-up",
    ], done.stderr
    assert done.stdout.startswith("ok    own layers, compressed")


def test_the_container_runs_as_on_ecs(tmp_path: Path) -> None:
    """Without rights, and with nothing secret in its environment."""
    check(tmp_path, 1_000_000)
    runs = (tmp_path / "runs").read_text().splitlines()
    hardening = {"--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"}
    assert all(hardening <= set(each.split()) for each in runs)
    [_, idle, _] = runs
    given = {each.partition("=")[0] for each in idle.split("--env=")[1:]}
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in given
    assert "PROVIDER_SECRET_ARN" in given
    assert not given & {"AWS_ACCESS_KEY_ID", "OPENAI_API_KEY", "STREAM_TOKEN_SECRET"}


def test_what_is_over_its_budget_fails(tmp_path: Path) -> None:
    done = check(tmp_path, 61_000_000)
    assert done.stdout.startswith("OVER  own layers, compressed")
    assert done.returncode == 1


def engine_that(folder: Path, does: str) -> Engine:
    program = folder / "engine"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    return Engine((str(program),), "media")


def test_an_engine_that_fails_is_quoted(tmp_path: Path) -> None:
    engine = engine_that(tmp_path, "echo no such image >&2; exit 125")
    with pytest.raises(EngineFailed, match=r"run …` failed \(125\): no such image"):
        engine.layers_mb()


@pytest.mark.parametrize(
    "printed",
    ["2026-11-30T21:04:08.123456789Z", "2026-11-30T22:04:08.123456+01:00"],
    ids=["docker", "podman"],
)
def test_engines_tell_when_a_container_started(tmp_path: Path, printed: str) -> None:
    engine = engine_that(tmp_path, f"echo '\"{printed}\"'")
    assert engine.started_at("container") == datetime(2026, 11, 30, 21, 4, 8, 123456, UTC)


def test_a_task_has_the_variables_of_the_template(dynamodb_address: str) -> None:
    with task_environment(dynamodb_address) as environment:
        names = set(environment.names)
        assert {"CALLS_TABLE", "PROVIDER_SECRET_ARN", "TOOL_HOSTS_ALLOWED"} <= names
        assert not names & environment.secret.keys()


@pytest.mark.parametrize(("value", "is_within"), [(2.0, True), (2.01, False)])
def test_a_budget_may_be_used_up(value: float, is_within: bool) -> None:
    assert Measurement("start", value, 2.0, "s").is_within is is_within
