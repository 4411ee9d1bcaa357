"""What the roles of template.yaml allow, and what the code asks for: each boto3 call becomes the
IAM action and the resource that AWS would check (Service Authorization Reference)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
from boto3 import Session
from botocore.loaders import create_loader

from tests.support.translated import as_list, functions, of_type, resources, statements

DESCRIPTIONS = create_loader()
"""Of AWS's services, read once for all sessions: to read them takes longer than most tests."""
PREFIX = "arn:aws"
ACCOUNT = "us-east-1:123456789012"

# Operations that are not called as their action is.
ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}


@dataclass(frozen=True, slots=True)
class Permission:
    action: str
    resource: str
    """The name in an ARN is the resource's in the template; the pattern of a permission may end
    in `*`."""
    partitions: frozenset[str] = frozenset()
    """The partition keys that are asked for, or that alone are allowed (`dynamodb:LeadingKeys`);
    none: all of them."""

    def allows(self, asked: "Permission") -> bool:
        return (
            self.action == asked.action
            and fnmatchcase(asked.resource, self.resource)
            and (not self.partitions or asked.partitions <= self.partitions)
        )


def granted(role: str) -> set[Permission]:
    """By the template, to what our code may do with it; what AWS does with a function's role for
    the function's sake (its logs, its queues) is not among it."""
    return {
        Permission(action, _text(resource), _leading_keys(statement))
        for name, statement in statements()
        if name == role
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if (action, _text(resource)) not in _done_by_lambda(role)
    }


def role_of(handler_module: str) -> str | None:
    """None: it is no Lambda's."""
    for function in functions().values():
        if function["Handler"].split(".")[0] == handler_module:
            role: str = function["Role"]["Fn::GetAtt"][0]
            return role
    return None


@dataclass
class Caller:
    """Everything that is asked of AWS in a session, under the role that is set at the time."""

    physical: Mapping[str, str]
    """What a physical name or ARN is called in the template."""
    role: str | None = None
    asked: dict[str, set[Permission]] = field(default_factory=dict)
    refused: list[tuple[str, Permission]] = field(default_factory=list)

    def session(self) -> Session:
        core = botocore.session.get_session()
        core.register_component("data_loader", DESCRIPTIONS)
        session = Session(botocore_session=core)
        session.events.register("before-parameter-build", self._check)
        return session

    def _check(self, params: Mapping[str, Any], model: Any, **_: object) -> None:
        if self.role is None:
            return
        permission = self._permission(model.service_model.service_name, model.name, params)
        self.asked.setdefault(self.role, set()).add(permission)
        if not any(each.allows(permission) for each in granted(self.role)):
            self.refused.append((self.role, permission))

    def _permission(self, service: str, operation: str, params: Mapping[str, Any]) -> Permission:
        action = f"{service}:{operation}"
        return Permission(
            ACTIONS.get(action, action), self._resource(params), _partitions(operation, params)
        )

    def _resource(self, params: Mapping[str, Any]) -> str:
        match params:
            case {"TableName": name, "IndexName": index}:
                return f"{_arn(self.physical[name])}/index/{index}"
            case {"Bucket": name, "Key": key}:
                return f"{_arn(self.physical[name])}/{key}"
            case {"RequestItems": tables}:
                [name] = tables
                return _arn(self.physical[name])
            case {"TableName": name} | {"SecretId": name} | {"Bucket": name} | {"QueueUrl": name}:
                return _arn(self.physical[name])
            case {"cluster": _, "tasks": _}:
                own = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task/"
                return f"{own}{_arn('MediaCluster')}/1"
        raise AssertionError(f"a call of a kind that no permission is known for: {params.keys()}")


def _leading_keys(statement: Mapping[str, Any]) -> frozenset[str]:
    match statement:
        case {"Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": keys}}}:
            return frozenset(keys)
        case {"Condition": condition}:
            raise AssertionError(condition)
    return frozenset()


def _partitions(operation: str, params: Mapping[str, Any]) -> frozenset[str]:
    """Told where they decide anything: what is deleted."""
    return frozenset([params["Key"]["pk"]["S"]] if operation == "DeleteItem" else [])


def _done_by_lambda(role: str) -> Iterator[tuple[str, str]]:
    """A failed invocation is put into the queue by Lambda itself, under the function's role."""
    owners = {n for n, f in functions().items() if f["Role"]["Fn::GetAtt"][0] == role}
    for config in of_type("AWS::Lambda::EventInvokeConfig").values():
        if config["FunctionName"]["Ref"] in owners:
            yield "sqs:SendMessage", _text(config["DestinationConfig"]["OnFailure"]["Destination"])


_KINDS = {
    "AWS::ECS::Cluster": "ecs:" + ACCOUNT + ":cluster/",
    "AWS::DynamoDB::Table": "dynamodb:" + ACCOUNT + ":table/",
    "AWS::S3::Bucket": "s3:::",
    "AWS::SecretsManager::Secret": "secretsmanager:" + ACCOUNT + ":secret:",
    "AWS::SQS::Queue": "sqs:" + ACCOUNT + ":",
}


def _arn(name: str) -> str:
    return f"{PREFIX}:{_KINDS[resources()[name]['Type']]}{name}"


def _text(value: Any) -> str:
    """An ARN as the template builds it, with the names of the template."""
    match value:
        case str():
            return value
        case {"Fn::GetAtt": [name, "Arn"]}:
            return _arn(name)
        case {"Ref": name}:  # a secret's, for one, is its ARN
            return _arn(name)
        case {"Fn::Sub": [text, variables]}:
            return _filled(text, {name: _text(each) for name, each in variables.items()})
        case {"Fn::Sub": text}:
            return _filled(text, {})
    raise AssertionError(value)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match[1]
        return variables[name] if name in variables else _arn(name.removesuffix(".Arn"))

    return re.sub(r"\$\{([\w.]+)\}", fill, text)
