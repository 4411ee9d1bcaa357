"""Compares what the roles of template.yaml allow with what the code does. Each boto3 call becomes
the IAM action and the resource that AWS would check (Service Authorization Reference)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
from boto3 import Session

from tests.support.translated import as_list, functions, of_type, resources, statements

PREFIX = "arn:aws"
ACCOUNT = "us-east-1:123456789012"

# Operations whose name differs from that of their action.
ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}


@dataclass(frozen=True, slots=True)
class Permission:
    action: str
    resource: str
    """The resource. In an ARN, its name is that of the template. A permission may end in `*`."""
    partitions: frozenset[str] = frozenset()
    """The partition keys that are used, or that are allowed (`dynamodb:LeadingKeys`). Empty means
    all."""

    def allows(self, asked: "Permission") -> bool:
        return (
            self.action == asked.action
            and fnmatchcase(asked.resource, self.resource)
            and (not self.partitions or asked.partitions <= self.partitions)
        )


def granted(role: str) -> set[Permission]:
    """Return what the template allows our code. Permissions that AWS itself needs for a function
    (logs, queues) are left out."""
    return {
        Permission(action, _text(resource), _leading_keys(statement))
        for name, statement in statements()
        if name == role
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if (action, _text(resource)) not in _done_by_lambda(role)
    }


def role_of(handler_module: str) -> str | None:
    """Return the role of a handler, or None if the module is no Lambda."""
    for function in functions().values():
        if function["Handler"].split(".")[0] == handler_module:
            role: str = function["Role"]["Fn::GetAtt"][0]
            return role
    return None


@dataclass
class Caller:
    """Records the AWS calls of a session under the role that is set at the time."""

    physical: Mapping[str, str]
    """Names in the template by physical name or ARN."""
    role: str | None = None
    asked: dict[str, set[Permission]] = field(default_factory=dict)
    refused: list[tuple[str, Permission]] = field(default_factory=list)

    def session(self) -> Session:
        core = botocore.session.get_session()
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
    """Return the partition keys of deletions, the only operation for which they matter."""
    return frozenset([params["Key"]["pk"]["S"]] if operation == "DeleteItem" else [])


def _done_by_lambda(role: str) -> Iterator[tuple[str, str]]:
    """Yield the permissions that Lambda itself uses under the function's role: it puts failed
    invocations into the queue."""
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
    """Build an ARN as the template does, with the names of the template."""
    match value:
        case str():
            return value
        case {"Fn::GetAtt": [name, "Arn"]}:
            return _arn(name)
        case {"Ref": name}:  # a secret, for example, is referenced by its ARN
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
