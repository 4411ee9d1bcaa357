"""What a deployment does, in which order, by which commands. Pure: `deploy.py` carries it out."""

from collections.abc import Mapping
from dataclasses import dataclass

from deployment.answers import Answers
from deployment.stack import DeployedStack

TEMPLATE = ".aws-sam/build/template.yaml"
IMAGE_METADATA = ".build/image.json"


@dataclass(frozen=True, slots=True)
class BuildCode:
    """Package functions and layer."""


@dataclass(frozen=True, slots=True)
class DeployStack:
    """Create or change the stack; without an image there is no media plane yet."""

    with_image: bool


@dataclass(frozen=True, slots=True)
class FillSecret:
    """Put the providers' keys into Secrets Manager."""


@dataclass(frozen=True, slots=True)
class MakeImage:
    """Build the media container and push it to the stack's repository."""

    in_cloud: bool


@dataclass(frozen=True, slots=True)
class PointTelnyx:
    """Let the Telnyx application send its webhooks to the stack."""


@dataclass(frozen=True, slots=True)
class Examine:
    """Ask everything whether it answers."""


Step = BuildCode | DeployStack | FillSecret | MakeImage | PointTelnyx | Examine


def steps(answers: Answers, deployed: DeployedStack | None, *, has_new_keys: bool) -> list[Step]:
    """The repository and the secret are born with the stack, and a container does not start
    without its keys: so the first time the stack is deployed twice."""
    is_first = deployed is None or "MediaRepositoryUri" not in deployed.outputs
    return [
        BuildCode(),
        *([DeployStack(with_image=False)] if is_first else []),
        *([FillSecret()] if has_new_keys else []),
        MakeImage(answers.build_in_cloud),
        DeployStack(with_image=True),
        PointTelnyx(),
        Examine(),
    ]


def sam_build() -> list[str]:
    return ["sam", "build"]


def sam_deploy(answers: Answers, parameters: Mapping[str, str]) -> list[str]:
    return [
        "sam",
        "deploy",
        *("--template-file", TEMPLATE),
        *("--stack-name", answers.stack),
        *("--region", answers.region),
        *("--capabilities", "CAPABILITY_IAM"),
        "--resolve-s3",
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        "--parameter-overrides",
        # Quoted, or sam would cut a value at its first space and refuse an empty one.
        *(f'{name}="{value}"' for name, value in sorted(parameters.items())),
    ]


def parameters(
    answers: Answers, deployed: DeployedStack | None, image: str | None
) -> dict[str, str]:
    """What is left out keeps its last value, the image among it. A URL that was found at the first
    deployment gives way to a name of one's own, for the two exclude each other."""
    given = dict(answers.parameters)
    if given.get("ApiDomainName"):
        given["BasePublicUrl"] = ""
    elif deployed:
        given.setdefault("BasePublicUrl", deployed.outputs.get("ApiUrl", ""))
    if answers.build_in_cloud:
        given["BuildInCloud"] = "yes"
    if image:
        given["MediaImageUri"] = image
    return given


def names_to_point(answers: Answers, stack: DeployedStack) -> dict[str, str]:
    """CNAMEs that somebody must make: without a zone the stack cannot."""
    if answers.get("HostedZoneId"):
        return {}
    targets = {"MediaDomainName": "MediaLoadBalancerName", "ApiDomainName": "ApiDomainTarget"}
    return {
        name: stack.outputs[target]
        for parameter, target in targets.items()
        if (name := answers.get(parameter))
    }


def docker_login(registry: str) -> list[str]:
    """The password comes by standard input."""
    return ["docker", "login", "--username", "AWS", "--password-stdin", registry]


def docker_build(reference: str) -> list[str]:
    return [
        *("docker", "buildx", "build"),
        "--pull",  # the base as it is now, not as it was when this machine last built
        *("--platform", "linux/arm64"),
        *("--file", "media_container/Dockerfile"),
        *("--tag", reference),
        "--provenance=false",  # ECS takes an image, not an index of images and their attestations
        *("--metadata-file", IMAGE_METADATA),
        "--push",
        ".",
    ]
