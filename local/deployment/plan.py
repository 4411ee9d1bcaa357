"""The steps of a deployment, their order and their commands. This module is pure, and `deploy.py`
executes the steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from deployment.answers import Answers
from deployment.stack import DeployedStack

TEMPLATE = ".aws-sam/build/template.yaml"
IMAGE_METADATA = ".build/image.json"


@dataclass(frozen=True, slots=True)
class PrepareAccount:
    """Create the service-linked roles that the account lacks."""

    usually: ClassVar[str] = "seconds"


@dataclass(frozen=True, slots=True)
class BuildCode:
    """Package functions and layer."""

    usually: ClassVar[str] = "1 to 2 min"


@dataclass(frozen=True, slots=True)
class DeployStack:
    """Create or change the stack; without an image there is no media plane yet."""

    usually: ClassVar[str] = "3 to 5 min; the first time with an image 10 to 20 min"
    with_image: bool


@dataclass(frozen=True, slots=True)
class FillSecret:
    """Put the providers' keys into Secrets Manager."""

    usually: ClassVar[str] = "seconds"


@dataclass(frozen=True, slots=True)
class MakeImage:
    """Build the media container and push it to the stack's repository."""

    usually: ClassVar[str] = "1 to 5 min"
    in_cloud: bool


@dataclass(frozen=True, slots=True)
class PointTelnyx:
    """Let the Telnyx application send its webhooks to the stack."""

    usually: ClassVar[str] = "seconds"


@dataclass(frozen=True, slots=True)
class ProtectStack:
    """Protect the stack against deletion; `make destroy` lifts this."""

    usually: ClassVar[str] = "seconds"


@dataclass(frozen=True, slots=True)
class Examine:
    """Check that everything answers."""

    usually: ClassVar[str] = "seconds"


Step = (
    PrepareAccount
    | BuildCode
    | DeployStack
    | FillSecret
    | MakeImage
    | PointTelnyx
    | ProtectStack
    | Examine
)


def steps(answers: Answers, deployed: DeployedStack | None, *, has_new_keys: bool) -> list[Step]:
    """Return the steps. The stack creates the repository and the secret, and a container does not
    start without its keys. So the first deployment updates the stack twice."""
    is_first = deployed is None or "MediaRepositoryUri" not in deployed.outputs
    return [
        BuildCode(),
        PrepareAccount(),
        *([DeployStack(with_image=False)] if is_first else []),
        *([FillSecret()] if has_new_keys else []),
        *([] if answers.get("MediaImageUri") else [MakeImage(answers.build_in_cloud)]),
        DeployStack(with_image=True),
        PointTelnyx(),
        ProtectStack(),
        Examine(),
    ]


def sam_build() -> list[str]:
    return ["sam", "build"]


def sam_deploy(answers: Answers, parameters: Mapping[str, str]) -> list[str]:
    """Return the command that makes a change set. `operation.py` executes the change set, because
    sam stops waiting after an hour and does not say what it waits for."""
    return [
        "sam",
        "deploy",
        *("--template-file", TEMPLATE),
        *("--stack-name", answers.stack),
        *("--region", answers.region),
        *("--capabilities", "CAPABILITY_IAM"),
        "--resolve-s3",
        "--no-execute-changeset",
        "--no-fail-on-empty-changeset",
        *(["--tags", *_pairs(answers.tags)] if answers.tags else []),
        "--parameter-overrides",
        *_pairs(parameters),
    ]


def _pairs(values: Mapping[str, str]) -> list[str]:
    """Quoted, or sam would cut a value at its first space and refuse an empty one."""
    return [f'{name}="{value}"' for name, value in sorted(values.items())]


def parameters(
    answers: Answers,
    deployed: DeployedStack | None,
    image: str | None,
    secret_version: str = "",
) -> dict[str, str]:
    """Return the parameters. Omitted ones keep their last value, the image among them. A custom
    host name replaces a URL that was found at the first deployment, because the two exclude each
    other."""
    given = dict(answers.parameters)
    if given.get("ApiDomainName"):
        given["BasePublicUrl"] = ""
    elif deployed:
        given.setdefault("BasePublicUrl", deployed.outputs.get("ApiUrl", ""))
    if answers.build_in_cloud:
        given["BuildInCloud"] = "yes"
    given.pop("MediaImageUri", None)  # until the secret is filled
    if image:
        given["MediaImageUri"] = image
    if secret_version:
        given["ProviderSecretVersion"] = secret_version
    return given


def describe_remains(stack: DeployedStack | None) -> str:
    """Describe what an interrupted deployment leaves, and how to continue."""
    if stack is None or "MediaRepositoryUri" not in stack.outputs:
        return "Nothing that costs money was created. Run `make deploy` again once this is mended."
    plane = "both planes" if stack.has_media_plane else "the control plane, a few cents a month"
    return (
        f"Stack {stack.name} exists ({plane}). Once this is mended, run `make deploy` again: it "
        "goes on from here and asks nothing twice. `make destroy` removes the stack."
    )


def names_to_point(answers: Answers, stack: DeployedStack) -> dict[str, str]:
    """Return the CNAME records that must be created by hand, because the stack has no zone."""
    if answers.get("HostedZoneId"):
        return {}
    targets = {"MediaDomainName": "MediaLoadBalancerName", "ApiDomainName": "ApiDomainTarget"}
    return {
        name: stack.outputs[target]
        for parameter, target in targets.items()
        if (name := answers.get(parameter))
    }


def docker_login(registry: str) -> list[str]:
    """Return the command for the login. The password comes by standard input."""
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
