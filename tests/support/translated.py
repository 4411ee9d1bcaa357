"""template.yaml as CloudFormation gets it from SAM's own translator."""

import copy
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "template.yaml").read_text()
TEMPLATE: dict[str, Any] = yaml_parse(TEXT)

Resource = Mapping[str, Any]
Resources = Mapping[str, Resource]


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@cache
def resources() -> Resources:
    """Return the resources, as if the output of `sam build` was already uploaded."""
    source = copy.deepcopy(TEMPLATE)
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/functions"
    source["Resources"]["SharedLayer"]["Properties"]["ContentUri"] = "s3://bucket/layer"
    with patch.dict(os.environ, AWS_DEFAULT_REGION="us-east-1"):
        translated: Resources = transform(source, {}, _NoManagedPolicies())["Resources"]
    return translated


def properties(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = resources()[name]["Properties"]
    return found


def of_type(*types: str) -> dict[str, Any]:
    """Return the properties of these types by resource."""
    found = {name: r["Properties"] for name, r in resources().items() if r["Type"] in types}
    assert found, types
    return found


def functions() -> dict[str, Any]:
    return of_type("AWS::Lambda::Function")


_METHODS = {"x-amazon-apigateway-any-method": "ANY"}


def routes() -> dict[str, list[str]]:
    """Return the authorizers of each route by its key."""
    paths = properties("HttpApi")["Body"]["paths"]
    return {
        f"{_METHODS.get(method, method.upper())} {path}": [
            name for entry in route["security"] for name in entry
        ]
        for path, methods in paths.items()
        for method, route in methods.items()
    }


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement of every role."""
    for name, role in of_type("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def attributes(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in pairs}


def secret_names() -> set[str]:
    """Return the settings in the stack's secret."""
    generate = TEMPLATE["Resources"]["ProviderSecret"]["Properties"]["GenerateSecretString"]
    return {generate["GenerateStringKey"], *json.loads(generate["SecretStringTemplate"])}
