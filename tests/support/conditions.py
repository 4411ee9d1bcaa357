"""Evaluates those of CloudFormation's condition functions that template.yaml uses."""

from collections.abc import Mapping
from typing import Any

from tests.support.translated import TEMPLATE, Resources, resources

Values = Mapping[str, str]


def parameters(**given: object) -> Values:
    """Return the defaults, overridden by the given parameters."""
    defaults = {name: str(p.get("Default", "")) for name, p in TEMPLATE["Parameters"].items()}
    assert given.keys() <= defaults.keys()
    return defaults | {name: str(value) for name, value in given.items()}


def holds(condition: Mapping[str, Any], values: Values) -> bool:
    match condition:
        case {"Fn::Not": [inner]}:
            return not holds(inner, values)
        case {"Fn::And": inner}:
            return all(holds(each, values) for each in inner)
        case {"Fn::Or": inner}:
            return any(holds(each, values) for each in inner)
        case {"Fn::Equals": [{"Ref": name}, text]}:
            return values[name] == str(text)
        case {"Fn::Contains": [texts, {"Ref": name}]}:
            return values[name] in texts
        case {"Condition": name}:
            return holds(TEMPLATE["Conditions"][name], values)
    raise AssertionError(condition)


def resources_with(values: Values) -> Resources:
    """Return the resources of a stack with these parameters."""
    return {
        name: resource
        for name, resource in resources().items()
        if "Condition" not in resource or holds({"Condition": resource["Condition"]}, values)
    }


def complaints(**given: object) -> list[str]:
    """Return CloudFormation's messages about parameters that contradict each other."""
    values = parameters(**given)
    return [
        assertion["AssertDescription"]
        for rule in TEMPLATE["Rules"].values()
        if "RuleCondition" not in rule or holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]
