"""The build of the image in the cloud, as template.yaml describes it."""

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.translated import ROOT, of_type, properties

DOCKERFILE = "media_container/Dockerfile"


def project() -> Mapping[str, Any]:
    [found] = of_type("AWS::CodeBuild::Project").values()
    properties: Mapping[str, Any] = found
    return properties


def commands() -> list[str]:
    specification = yaml.safe_load(project()["Source"]["BuildSpec"])
    found: list[str] = specification["phases"]["build"]["commands"]
    return found


def test_it_builds_the_dockerfile_for_the_platform_of_the_tasks() -> None:
    assert project()["Environment"]["Type"] == "ARM_CONTAINER"
    assert properties("MediaTask")["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    [build] = [command for command in commands() if command.startswith("docker build ")]
    assert f"--file {DOCKERFILE} " in build


def test_it_finds_the_base_image_in_the_dockerfile() -> None:
    [find] = [command for command in commands() if command.startswith("base=")]
    script = f'{find}\necho "$base"'
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, check=True)
    assert found.stdout.decode().startswith("python:3")
    assert len(found.stdout.split()) == 1


def test_it_uses_no_variable_that_nobody_gives() -> None:
    given = {each["Name"] for each in project()["Environment"]["EnvironmentVariables"]}
    used = set(re.findall(r"\$\{?(\w+)", " ".join(commands())))
    assert used == given | {"base", "IMAGE_TAG"}  # the tag is each build's own
