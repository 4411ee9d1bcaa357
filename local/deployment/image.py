"""The media container's image in the stack's repository. Its tag is a hash of its content, so an
unchanged image is not built again. It is deployed by its digest."""

import hashlib
import io
import json
import subprocess
import time
import zipfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from deployment import plan
from deployment.stack import DeployedStack

ROOT = Path(__file__).resolve().parent.parent.parent
CONTEXT = ("media_container/Dockerfile", "media_container/requirements.txt")
PACKAGES = ("media_container/media_bridge", "shared/phonebridge")
POLL_SECONDS = 5.0


class BuildFailed(Exception):
    """The image could not be built or pushed; the message says what to do."""


def context_files() -> list[Path]:
    """List the files of the build context, as `.dockerignore` selects them."""
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted([*(ROOT / name for name in CONTEXT), *sources])


def tag() -> str:
    digest = hashlib.sha256()
    for path in context_files():
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def find(stack: DeployedStack) -> str | None:
    """Return the image with this content, if the repository has it."""
    repository = stack.outputs["MediaRepositoryUri"]
    client = boto3.client("ecr", region_name=stack.region)
    try:
        found = client.describe_images(
            repositoryName=repository.partition("/")[2], imageIds=[{"imageTag": tag()}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ImageNotFoundException":
            return None
        raise
    return f"{repository}@{found['imageDetails'][0]['imageDigest']}"


def log_in(region: str) -> None:
    """Let docker push to the registry of the account, which exists before any repository."""
    client = boto3.client("ecr", region_name=region)
    [login] = client.get_authorization_token()["authorizationData"]
    _, _, password = b64decode(login["authorizationToken"]).decode().partition(":")
    registry = urlsplit(login["proxyEndpoint"]).netloc
    done = subprocess.run(
        plan.docker_login(registry), input=password, text=True, check=False, capture_output=True
    )
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise BuildFailed(
            f"docker cannot log in to {registry}: {reason}. If this names a credential helper, "
            "install it, or remove credsStore from ~/.docker/config.json"
        )


def build_here(stack: DeployedStack, run: Callable[[list[str]], None]) -> str:
    repository = stack.outputs["MediaRepositoryUri"]
    log_in(stack.region)
    metadata = ROOT / plan.IMAGE_METADATA
    metadata.parent.mkdir(exist_ok=True)
    run(plan.docker_build(f"{repository}:{tag()}"))
    return f"{repository}@{json.loads(metadata.read_text())['containerimage.digest']}"


def build_in_cloud(stack: DeployedStack) -> str:
    """Build the image with the stack's own CodeBuild project. The source goes to its bucket, and
    the image comes from its repository."""
    key = f"sources/{tag()}.zip"
    bucket, project = stack.outputs["ImageSourceBucketName"], stack.outputs["ImageBuildProjectName"]
    boto3.client("s3", region_name=stack.region).put_object(
        Bucket=bucket, Key=key, Body=_zipped_context()
    )
    client = boto3.client("codebuild", region_name=stack.region)
    build = _start_build(client, project, f"{bucket}/{key}")
    while build["buildStatus"] == "IN_PROGRESS":
        time.sleep(POLL_SECONDS)
        [build] = client.batch_get_builds(ids=[build["id"]])["builds"]
    image = find(stack) if build["buildStatus"] == "SUCCEEDED" else None
    if image is None:
        logs = build.get("logs", {}).get("deepLink", f"CodeBuild project {project}")
        raise BuildFailed(f"the image was not built ({build['buildStatus']}): see {logs}")
    return image


def _start_build(client: Any, project: str, source: str) -> dict[str, Any]:
    try:
        build: dict[str, Any] = client.start_build(
            projectName=project,
            sourceTypeOverride="S3",
            sourceLocationOverride=source,
            environmentVariablesOverride=[
                {"name": "IMAGE_TAG", "value": tag(), "type": "PLAINTEXT"}
            ],
        )["build"]
    except client.exceptions.AccountLimitExceededException as error:
        raise BuildFailed(
            f"CodeBuild builds nothing in this account yet ({error}). New accounts often start "
            "with a quota of 0: ask AWS Support to raise it, which can take days, or run "
            "`make deploy` on a machine with docker and `build_in_cloud = false` in "
            ".phonebridge.toml"
        ) from error
    return build


def _zipped_context() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in context_files():
            archive.write(path, path.relative_to(ROOT).as_posix())
    return buffer.getvalue()
