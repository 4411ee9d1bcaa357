"""The build of the image in the cloud, as template.yaml describes it."""

import re
import subprocess

import yaml

from translated import ROOT, as_list, of_type, properties, statements

DOCKERFILE = "media_container/Dockerfile"


def commands() -> list[str]:
    specification = yaml.safe_load(properties("ImageBuildProject")["Source"]["BuildSpec"])
    found: list[str] = specification["phases"]["build"]["commands"]
    return found


def test_it_builds_the_dockerfile_for_the_platform_of_the_tasks() -> None:
    assert properties("ImageBuildProject")["Environment"]["Type"] == "ARM_CONTAINER"
    assert properties("MediaTask")["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    [build] = [command for command in commands() if command.startswith("docker build ")]
    assert f"--file {DOCKERFILE} " in build


def test_it_finds_the_base_image_in_the_dockerfile() -> None:
    [find] = [command for command in commands() if command.startswith("base=")]
    script = f'{find}\necho "$base"'
    found = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, check=True)
    assert found.stdout.decode().startswith("python:3")
    assert len(found.stdout.split()) == 1


def test_it_uses_only_variables_that_it_is_given() -> None:
    variables = properties("ImageBuildProject")["Environment"]["EnvironmentVariables"]
    used = set(re.findall(r"\$\{?(\w+)", " ".join(commands()))) - {"base"}
    assert used == {variable["Name"] for variable in variables}


def test_it_may_push_and_nothing_else() -> None:
    actions = {
        a for role, s in statements() if role == "ImageBuildRole" for a in as_list(s["Action"])
    }
    assert "ecr:PutImage" in actions
    assert not [action for action in actions if "Delete" in action or action.startswith("iam:")]


def test_its_output_expires() -> None:
    group = properties("ImageBuildProject")["LogsConfig"]["CloudWatchLogs"]["GroupName"]["Ref"]
    assert of_type("AWS::Logs::LogGroup")[group]["RetentionInDays"]
