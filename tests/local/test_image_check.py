"""`make image-check` against an engine that runs the container's command without a container."""

import os
import subprocess
import sys
from pathlib import Path

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
rm)
  kill -KILL "$(cat pid)" 2>/dev/null
  until [ -s code ]; do sleep 0.01; done
  rm -f pid code ;;
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
    idle = runs[1]
    given = {each.partition("=")[0] for each in idle.split("--env=")[1:]}
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in given
    assert "PROVIDER_SECRET_ARN" in given
    assert not given & {"AWS_ACCESS_KEY_ID", "OPENAI_API_KEY", "STREAM_TOKEN_SECRET"}


def test_what_is_over_its_budget_fails(tmp_path: Path) -> None:
    done = check(tmp_path, 61_000_000)
    assert done.stdout.startswith("OVER  own layers, compressed")
    assert done.returncode == 1
