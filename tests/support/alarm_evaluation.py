"""Alarms as CloudWatch evaluates them: statistics of a period, metric math, datapoints to alarm.

Only what template.yaml uses (Amazon CloudWatch, "Using math expressions with metrics" and
"Evaluating an alarm"). A metric without data in a period is missing there, and so is an expression
that needs it.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Samples = Mapping[str, Sequence[Sequence[float]]]
"""The values of each metric in each minute, oldest first."""

STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
MINUTE_SECONDS = 60


def rings(alarm: Mapping[str, Any], samples: Samples, parameters: Mapping[str, str]) -> bool:
    values = _series(alarm, samples)[-alarm["EvaluationPeriods"] :]
    threshold = alarm["Threshold"]
    if isinstance(threshold, dict):
        threshold = float(parameters[threshold["Ref"]])
    breaks = COMPARISONS[alarm["ComparisonOperator"]]
    is_missing_bad = alarm["TreatMissingData"] == "breaching"
    breaching: list[bool] = [is_missing_bad if v is None else breaks(v, threshold) for v in values]
    needed: int = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    return sum(breaching) >= needed


def metrics_of(alarm: Mapping[str, Any]) -> set[str]:
    if "Metrics" not in alarm:
        return {alarm["MetricName"]}
    stats = (query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query)
    return {stat["Metric"]["MetricName"] for stat in stats}


def _series(alarm: Mapping[str, Any], samples: Samples) -> list[float | None]:
    if "Metrics" not in alarm:
        return _statistic(samples, alarm["MetricName"], alarm["Statistic"], alarm["Period"])
    queries = {query["Id"]: query for query in alarm["Metrics"]}
    [returned] = [each for each in alarm["Metrics"] if each.get("ReturnData", True)]
    stats = [query["MetricStat"] for query in queries.values() if "MetricStat" in query]
    count = len(_statistic(samples, None, "Sum", stats[0]["Period"]))
    return [_value(returned["Id"], queries, samples, index) for index in range(count)]


def _value(name: str, queries: Mapping[str, Any], samples: Samples, index: int) -> float | None:
    query = queries[name]
    if stat := query.get("MetricStat"):
        metric = stat["Metric"]["MetricName"]
        return _statistic(samples, metric, stat["Stat"], stat["Period"])[index]
    used = {each for each in re.findall(r"\b[a-z]\w*\b", query["Expression"]) if each in queries}
    return _evaluate(
        query["Expression"], {each: _value(each, queries, samples, index) for each in used}
    )


def _evaluate(expression: str, values: Mapping[str, float | None]) -> float | None:
    """Evaluate the expression as Python, which has the same operators. Return None if a value is
    missing."""
    text = expression.replace(" AND ", " and ").replace(" OR ", " or ")
    functions = {
        "IF": lambda condition, then, otherwise: then if condition else otherwise,
        "FILL": lambda value, fallback: fallback if value is None else value,
        "MAX": max,
    }
    try:
        found: float = eval(text, {"__builtins__": {}}, {**functions, **values})
    except (TypeError, ZeroDivisionError):
        return None
    return found


def _statistic(
    samples: Samples, metric: str | None, statistic: str, period: int
) -> list[float | None]:
    minutes = samples.get(metric or "", [[]] * max(map(len, samples.values()), default=0))
    step = min(period // MINUTE_SECONDS, len(minutes)) or 1
    periods = [minutes[start : start + step] for start in range(0, len(minutes), step)]
    joined = [[value for minute in each for value in minute] for each in periods]
    return [STATISTICS[statistic](values) if values else None for values in joined]
