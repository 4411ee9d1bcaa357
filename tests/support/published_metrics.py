"""Metrics as CloudWatch reads them from log lines ("Embedded metric format")."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One metric document of a log."""

    namespace: str
    dimensions: dict[str, str]
    units: dict[str, str]
    """Units by metric."""
    values: dict[str, list[float]]


def published_in(output: str) -> list[Published]:
    return [_published(line) for line in output.splitlines() if '"_aws"' in line]


def _published(line: str) -> Published:
    document = json.loads(line)
    [directive] = document["_aws"]["CloudWatchMetrics"]
    [dimensions] = directive["Dimensions"]
    units = {each["Name"]: each["Unit"] for each in directive["Metrics"]}
    return Published(
        directive["Namespace"],
        {name: document[name] for name in dimensions},
        units,
        {name: document[name] for name in units},
    )
