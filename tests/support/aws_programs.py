"""Stand-ins for `sam` and `docker` as a deployment uses them. They record their commands, and `sam
deploy` creates a stack in moto with the outputs of template.yaml.

It runs as a program. NOTES names the file of its record.
"""

import json
import os
import stat
import sys
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
    if _exists(client, stack):
        # As `--no-fail-on-empty-changeset` requires.
        with suppress(client.exceptions.ClientError):
            client.update_stack(**given)
        return
    boto3.client("secretsmanager").create_secret(
        Name=f"{stack}-keys", SecretString=json.dumps(SECRET)
    )
    client.create_stack(**given)


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
