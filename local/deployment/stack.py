"""A deployed stack as CloudFormation describes it, and the settings of what runs in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import boto3
from botocore.exceptions import ClientError


class StackMissing(Exception):
    """The region and account have no such stack."""


@dataclass(frozen=True, slots=True)
class DeployedStack:
    name: str
    region: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    status: str = "CREATE_COMPLETE"
    """The status in CloudFormation's terms."""

    @property
    def has_media_plane(self) -> bool:
        return bool(self.parameters.get("MediaImageUri"))

    @property
    def public_url(self) -> str:
        if domain := self.parameters.get("ApiDomainName"):
            return f"https://{domain}"
        return self.parameters.get("BasePublicUrl") or self.outputs.get("ApiUrl", "")


def look_up(name: str, region: str | None) -> DeployedStack | None:
    """Return the stack, or None if it does not exist."""
    client = boto3.client("cloudformation", region_name=region)
    try:
        [found] = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    parameters = {
        each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])
    }
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    return DeployedStack(name, client.meta.region_name, parameters, outputs, found["StackStatus"])


def require(name: str, region: str | None) -> DeployedStack:
    stack = look_up(name, region)
    if stack is None:
        raise StackMissing(f"there is no stack {name}; `make deploy` makes one")
    return stack


def stack_environment(name: str, region: str | None) -> Mapping[str, str]:
    """Return the settings of the functions and the container, keys included."""
    stack = require(name, region)
    media = stack.parameters.get("MediaDomainName")
    return {
        "OPENAI_MODEL": stack.parameters.get("OpenAiModel", ""),
        "OPENAI_AUTH_HEADER": stack.parameters.get("OpenAiAuthHeader", ""),
        "OPENAI_REALTIME_URL": stack.parameters.get("OpenAiRealtimeUrl", ""),
        "TELNYX_CONNECTION_ID": stack.parameters.get("TelnyxConnectionId", ""),
        "TELNYX_FROM_NUMBER": stack.parameters.get("TelnyxFromNumber", ""),
        "BASE_PUBLIC_URL": stack.public_url,
        "MEDIA_PUBLIC_URL": f"wss://{media}" if media else "",
        **keys_of(stack),
    }


def keys_of(stack: DeployedStack) -> Mapping[str, str]:
    """Return the keys, which are empty if the creation of the stack was rolled back."""
    if "ProviderSecretArn" not in stack.outputs:
        return {}
    client = boto3.client("secretsmanager", region_name=stack.region)
    secret = client.get_secret_value(SecretId=stack.outputs["ProviderSecretArn"])
    keys: dict[str, str] = json.loads(secret["SecretString"])
    return keys


def fill_secret(stack: DeployedStack, keys: Mapping[str, str]) -> None:
    """Store the given keys, and keep the others. An unchanged secret is not written, because a new
    version replaces every process that reads it."""
    stored = keys_of(stack)
    filled = {**stored, **keys}
    if filled != stored:
        client = boto3.client("secretsmanager", region_name=stack.region)
        arn = stack.outputs["ProviderSecretArn"]
        client.put_secret_value(SecretId=arn, SecretString=json.dumps(filled))


def protect(name: str, region: str, *, is_protected: bool) -> None:
    """Let CloudFormation refuse to delete the stack, or not."""
    client = boto3.client("cloudformation", region_name=region)
    client.update_termination_protection(StackName=name, EnableTerminationProtection=is_protected)


def secret_version(stack: DeployedStack) -> str:
    """Return the version of the secret that new processes read."""
    client = boto3.client("secretsmanager", region_name=stack.region)
    described = client.describe_secret(SecretId=stack.outputs["ProviderSecretArn"])
    stages = described["VersionIdsToStages"]
    return str(next(version for version, names in stages.items() if "AWSCURRENT" in names))
