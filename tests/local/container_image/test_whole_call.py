"""The call through the image. `make image-check` makes it; here no image is there."""

from pathlib import Path

import pytest

from container_image.engine import Engine
from container_image.task_environment import task_environment
from container_image.whole_call import call_through


async def test_a_container_that_does_not_start_ends_the_check(
    dynamodb_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "engine"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\nexit 125\n')
    program.chmod(0o755)
    with task_environment(dynamodb_address) as environment:
        with pytest.raises(SystemExit, match="the media container did not start"):
            await call_through(Engine((str(program),), "media"), environment)
        assert not [key for key in environment.secret.values() if key in asked(tmp_path)]
    assert "--name=phonebridge-image-check --env=AWS_DEFAULT_REGION" in asked(tmp_path)


def asked(folder: Path) -> str:
    return (folder / "asked").read_text()
