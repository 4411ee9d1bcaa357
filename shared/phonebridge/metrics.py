"""CloudWatch metrics as lines of the log, in the embedded metric format: no request, no waiting.

One dimension, the service, and never a call's id: each value of a dimension is a metric to pay for.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

MOST_VALUES = 100
"""Of one metric in one document ("Specification: Embedded metric format")."""

Values = Mapping[str, float | Sequence[float]]
"""By name; a name that ends in `Ms` counts milliseconds. A sequence is a distribution."""


def embedded(namespace: str, service: str, values: Values, at_ms: int) -> Iterator[str]:
    """One line, or more where a distribution is longer than a document may hold. A distribution of
    nothing is left out: unlike a count, it has no zero. Without a namespace nobody asked."""
    if not namespace:
        return
    numbers = {name: held for name, held in values.items() if not isinstance(held, Sequence)}
    distributions = {name: held for name, held in values.items() if isinstance(held, Sequence)}
    longest = max(map(len, distributions.values()), default=0)
    for start in range(0, max(1, longest), MOST_VALUES):
        parts = {name: held[start : start + MOST_VALUES] for name, held in distributions.items()}
        yield _document(
            namespace, service, numbers | {n: part for n, part in parts.items() if part}, at_ms
        )
        numbers = {}


def _document(namespace: str, service: str, values: Values, at_ms: int) -> str:
    definitions = [{"Name": name, "Unit": _unit(name)} for name in values]
    directive = {"Namespace": namespace, "Dimensions": [["Service"]], "Metrics": definitions}
    metadata = {"Timestamp": at_ms, "CloudWatchMetrics": [directive]}
    return msgspec.json.encode({"_aws": metadata, "Service": service} | dict(values)).decode()


def _unit(name: str) -> str:
    return "Milliseconds" if name.endswith("Ms") else "Count"
