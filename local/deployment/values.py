"""Checks the answers against template.yaml. CloudFormation would refuse invalid ones only after
minutes of building. This module is pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deployment.problems import Missing


def check_values(given: Mapping[str, str], parameters: Mapping[str, Any]) -> Iterator[Missing]:
    """`parameters` is the section of template.yaml."""
    for name, value in given.items():
        if name in parameters and (problem := _problem(value, parameters[name])):
            yield Missing(name, f"{value!r} {problem}")


def _problem(value: str, parameter: Mapping[str, Any]) -> str:
    pattern = parameter.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        return str(parameter["ConstraintDescription"])
    allowed = [str(each) for each in parameter.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"is not one of {', '.join(allowed)}"
    if parameter["Type"] == "Number":
        return _number_problem(value, parameter)
    return ""


def _number_problem(value: str, parameter: Mapping[str, Any]) -> str:
    try:
        number = float(value)
    except ValueError:
        return "is not a number"
    low, high = parameter.get("MinValue"), parameter.get("MaxValue")
    is_inside = (low is None or number >= low) and (high is None or number <= high)
    return "" if is_inside else f"is not from {low} to {high}"
