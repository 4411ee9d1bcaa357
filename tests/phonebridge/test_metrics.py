"""Metrics as CloudWatch reads them from the log."""

import json
from typing import Any

from phonebridge.metrics import MOST_VALUES, embedded


def documents(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in embedded("Phonebridge", "media-bridge", values, 1_000)]


def directive(document: dict[str, Any]) -> dict[str, Any]:
    [only] = document["_aws"]["CloudWatchMetrics"]
    assert isinstance(only, dict)
    return only


def named(document: dict[str, Any]) -> dict[str, str]:
    return {each["Name"]: each["Unit"] for each in directive(document)["Metrics"]}


def test_one_line_holds_counts_and_distributions() -> None:
    [document] = documents({"ActiveCalls": 3, "TurnLatencyMs": [700, 801.5]})
    assert document["_aws"]["Timestamp"] == 1_000
    assert directive(document)["Namespace"] == "Phonebridge"
    assert directive(document)["Dimensions"] == [["Service"]]
    assert document["Service"] == "media-bridge"
    assert named(document) == {"ActiveCalls": "Count", "TurnLatencyMs": "Milliseconds"}
    assert (document["ActiveCalls"], document["TurnLatencyMs"]) == (3, [700, 801.5])


def test_a_zero_is_told_and_a_distribution_of_nothing_is_not() -> None:
    [document] = documents({"ActiveCalls": 0, "TurnLatencyMs": []})
    assert document["ActiveCalls"] == 0
    assert named(document) == {"ActiveCalls": "Count"}


def test_a_long_distribution_takes_more_documents_and_counts_are_told_once() -> None:
    latencies = list(range(2 * MOST_VALUES + 1))
    told = documents({"CallSlots": 40, "TurnLatencyMs": latencies, "BargeInMs": [1]})
    assert [list(named(each)) for each in told] == [
        ["CallSlots", "TurnLatencyMs", "BargeInMs"],
        ["TurnLatencyMs"],
        ["TurnLatencyMs"],
    ]
    assert [value for each in told for value in each["TurnLatencyMs"]] == latencies
    assert max(len(each["TurnLatencyMs"]) for each in told) == MOST_VALUES


def test_nothing_has_a_newline_that_would_end_the_event_early() -> None:
    [line] = embedded("Phonebridge", "media-bridge", {"ActiveCalls": 0}, 1_000)
    assert "\n" not in line


def test_without_a_namespace_nothing_is_told() -> None:
    assert not list(embedded("", "media-bridge", {"ActiveCalls": 3}, 1_000))
