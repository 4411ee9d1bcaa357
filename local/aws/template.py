"""Reads template.yaml. The local stack builds from it what CloudFormation would build."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"


@dataclass(frozen=True, slots=True)
class Template:
    parameters: Mapping[str, Any]
    resources: Mapping[str, Any]
    globals: Mapping[str, Any]
    mappings: Mapping[str, Any]

    def properties(self, resource: str) -> Mapping[str, Any]:
        properties: Mapping[str, Any] = self.resources[resource]["Properties"]
        return properties

    def of_type(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Return the properties of all resources of a type, by resource name."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def queues_of_functions(self) -> list[str]:
        """Return the names of the functions' events that come from a queue."""
        return [
            name
            for function in self.of_type("AWS::Serverless::Function").values()
            for name, event in function.get("Events", {}).items()
            if event["Type"] == "SQS"
        ]


def load_template(path: Path = TEMPLATE) -> Template:
    written = yaml.load(path.read_text(), _Loader)
    return Template(
        written.get("Parameters", {}),
        written["Resources"],
        written.get("Globals", {}),
        written.get("Mappings", {}),
    )


class _Loader(yaml.CSafeLoader):  # ten times as fast as SafeLoader
    """Loads the short forms of intrinsic functions without resolving them: `!Sub x` becomes
    `{"Fn::Sub": "x"}` (CloudFormation, "Intrinsic function reference")."""


def _intrinsic(loader: yaml.CSafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    long_form = name if name in ("Ref", "Condition") else f"Fn::{name}"
    match node:
        case yaml.ScalarNode():
            return {long_form: loader.construct_scalar(node)}
        case yaml.SequenceNode():
            return {long_form: loader.construct_sequence(node, deep=True)}
        case yaml.MappingNode():
            return {long_form: loader.construct_mapping(node, deep=True)}
    raise TypeError(f"!{name} stands before something that is no YAML node")


_Loader.add_multi_constructor("!", _intrinsic)
