"""`sam` and `docker` as far as a deployment meets them: they note what they are asked, and `sam
deploy` leaves a change set for a stack with the outputs that template.yaml would have.

Run as a program, with the place of its notes in NOTES, and that of its change sets in CHANGE_SETS:
the change sets of moto yield stacks without outputs."""

import json
import os
import stat
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3

SECRET = {"OPENAI_API_KEY": "", "TELNYX_API_KEY": "", "STREAM_TOKEN_SECRET": "made at birth"}
DIGEST = "sha256:" + "0f" * 32


def installed(folder: Path, *names: str) -> Path:
    """Create a folder for PATH with programs of these names."""
    folder.mkdir()
    for name in names:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return folder


def main() -> None:
    name, *arguments = sys.argv[1:]
    said = sys.stdin.read() if "--password-stdin" in arguments else ""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps({"program": name, "arguments": arguments, "stdin": said}) + "\n")
    if name == "sam" and arguments[0] == "deploy":
        _deploy(arguments)
    if name == "docker" and "--metadata-file" in arguments:
        path = Path(arguments[arguments.index("--metadata-file") + 1])
        path.write_text(json.dumps({"containerimage.digest": DIGEST}))
    if name == "docker" and arguments[0] == "login" and os.environ.get("DOCKER_LOGIN_FAILS"):
        sys.exit("error getting credentials - err: docker-credential-desktop not found in $PATH")
    if name == "docker" and os.environ.get("DOCKER_IS_DOWN") and arguments == ["info"]:
        sys.exit(1)


def _deploy(arguments: list[str]) -> None:
    stack = arguments[arguments.index("--stack-name") + 1]
    pairs = arguments[arguments.index("--parameter-overrides") + 1 :]
    parameters = {name: value.strip('"') for name, value in (pair.split("=", 1) for pair in pairs)}
    client = boto3.client("cloudformation")
    given: dict[str, Any] = {
        "StackName": stack,
        "TemplateBody": json.dumps(_template(stack, parameters)),
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    }
    is_update = _exists(client, stack)
    if not is_update:
        secrets = boto3.client("secretsmanager")
        with suppress(secrets.exceptions.ResourceExistsException):
            secrets.create_secret(Name=f"{stack}-keys", SecretString=json.dumps(SECRET))
    change = {"action": "update_stack" if is_update else "create_stack", "given": given}
    folder = Path(os.environ["CHANGE_SETS"])
    folder.mkdir(exist_ok=True)
    executed = folder / "executed"
    # As `--no-fail-on-empty-changeset` asks.
    if not (is_update and executed.exists() and json.loads(executed.read_text()) == given):
        (folder / f"{uuid.uuid4().hex}.json").write_text(json.dumps(change))


def _exists(client: Any, stack: str) -> bool:
    found = client.get_paginator("describe_stacks").paginate().build_full_result()["Stacks"]
    return stack in [each["StackName"] for each in found]


def _template(stack: str, parameters: dict[str, str]) -> dict[str, Any]:
    outputs = {
        "ApiUrl": os.environ["API_URL"],
        "ProviderSecretArn": f"{stack}-keys",
        "CallsTableName": f"{stack}-calls",
        "MediaRepositoryUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{stack}-media",
        "MediaLoadBalancerName": "balancer.example.com",
        "ImageSourceBucketName": f"{stack}-image-source",
        "ImageBuildProjectName": f"{stack}-image",
    }
    return {
        "Parameters": {name: {"Type": "String"} for name in parameters},
        "Resources": {
            "Repository": {
                "Type": "AWS::ECR::Repository",
                "Properties": {"RepositoryName": f"{stack}-media"},
            },
        },
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


if __name__ == "__main__":
    main()
