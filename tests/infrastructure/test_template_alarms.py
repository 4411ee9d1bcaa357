"""The alarms and the dashboard of template.yaml watch metrics that exist, and the alarms reach
somebody."""

import inspect
import json
import re
from types import ModuleType
from typing import Any

import sweep_calls
from media_bridge.runtime import metrics as worker_metrics
from media_bridge.runtime.worker import METRICS_SECONDS
from tests.support.translated import TEMPLATE, of_type, properties, resources


def metrics_of(module: ModuleType) -> set[str]:
    return set(re.findall(r'"([A-Z][A-Za-z]+)"', inspect.getsource(module))) - {
        "Count",
        "Milliseconds",
    }


OURS: dict[str, set[str]] = {
    "media-bridge": metrics_of(worker_metrics),
    "control-plane": metrics_of(sweep_calls),
}
"""What each service measures."""
NAMESPACE = {"Fn::Sub": "Phonebridge/${AWS::StackName}"}
"""Another for each stack, or the figures of two in an account would add up."""
DASHBOARD_COLUMNS = 24


def alarms() -> dict[str, Any]:
    return of_type("AWS::CloudWatch::Alarm")


def metrics(of: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that an alarm or a scaling policy looks at."""
    if "Metrics" in of:
        return [m["MetricStat"]["Metric"] for m in of["Metrics"] if "MetricStat" in m]
    return [of]


def test_alarms_are_sent_when_they_begin_and_when_they_end() -> None:
    for name, alarm in alarms().items():
        assert alarm["AlarmDescription"].endswith("."), name
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name


def test_silence_alarms_only_where_there_must_be_none() -> None:
    breaching = {n for n, a in alarms().items() if a["TreatMissingData"] == "breaching"}
    assert breaching == {"StaleMetricsAlarm", "TasksBelowMinimumAlarm"}
    assert {a["TreatMissingData"] for a in alarms().values()} == {"breaching", "notBreaching"}


def test_silence_is_no_alarm_before_there_are_tasks_that_could_break_it() -> None:
    """A new alarm looks minutes back, and would find them missing."""
    for name in ("StaleMetricsAlarm", "TasksBelowMinimumAlarm"):
        assert resources()[name]["DependsOn"] == "MediaService"


def test_our_own_metrics_are_watched_by_their_names() -> None:
    [policy] = of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    watched = [metric for of in (*alarms().values(), tracking) for metric in metrics(of)]
    for metric in (m for m in watched if m["Namespace"] == NAMESPACE):
        if metric["MetricName"] not in from_logs():
            [service] = metric["Dimensions"]
            assert service["Name"] == "service"
            assert metric["MetricName"] in OURS[service["Value"]]


def test_both_planes_write_where_alarms_and_dashboard_look() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    [container] = properties("MediaTask")["ContainerDefinitions"]
    given = {entry["Name"]: entry["Value"] for entry in container["Environment"]}
    assert variables["METRICS_NAMESPACE"] == given["METRICS_NAMESPACE"] == NAMESPACE
    for each in of_type("AWS::Logs::MetricFilter").values():
        assert each["MetricTransformations"][0]["MetricNamespace"] == NAMESPACE
    text, _ = dashboard()
    assert set(re.findall(r'"(Phonebridge[^"]*)"', text)) == {NAMESPACE["Fn::Sub"]}
    ours = [m for alarm in alarms().values() for m in metrics(alarm) if m["Namespace"] == NAMESPACE]
    assert {m["MetricName"] for m in ours} >= {"ActiveCalls", "WebhookErrors", "StuckCalls"}


def test_no_period_is_shorter_than_the_minute_between_two_figures() -> None:
    periods = [alarm["Period"] for alarm in alarms().values() if "Period" in alarm]
    assert min(periods) >= METRICS_SECONDS


def from_logs() -> set[str]:
    filters = of_type("AWS::Logs::MetricFilter").values()
    return {t["MetricName"] for each in filters for t in each["MetricTransformations"]}


def test_webhook_errors_are_counted_by_what_the_access_log_says() -> None:
    filters = of_type("AWS::Logs::MetricFilter")
    condition = filters["WebhookErrors"]["FilterPattern"]
    [route] = re.findall(r'"(.+?)"', condition)
    assert re.findall(r'"(.+?)"', filters["WebhookRequests"]["FilterPattern"]) == [route]
    log_format = properties("HttpApiApiGatewayDefaultStage")["AccessLogSettings"]["Format"]
    line = json.loads(re.sub(r"\$context\.[\w.]+", "200", log_format))
    assert set(re.findall(r"\$\.(\w+)", condition)) <= line.keys()
    method, path = route.split(" ")
    assert method.lower() in properties("HttpApi")["Body"]["paths"][path]


def dashboard() -> tuple[str, list[dict[str, Any]]]:
    text: str = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    return text, json.loads(re.sub(r"\$\{.+?\}", "0", text))["widgets"]


def test_the_dashboard_names_only_what_there_is_without_a_media_plane_too() -> None:
    text, _ = dashboard()
    for name in set(re.findall(r"\$\{([\w:]+)\}", text)):
        there = name in TEMPLATE["Parameters"] or name.startswith("AWS::")
        assert there or "Condition" not in resources()[name], name


def test_the_dashboards_widgets_lie_side_by_side() -> None:
    _, widgets = dashboard()
    taken: set[tuple[int, int]] = set()
    for widget in widgets:
        place = {
            (widget["x"] + column, widget["y"] + row)
            for column in range(widget["width"])
            for row in range(widget["height"])
        }
        assert not place & taken
        assert max(column for column, _ in place) < DASHBOARD_COLUMNS
        taken |= place


def test_the_dashboard_shows_all_that_is_measured() -> None:
    text, widgets = dashboard()
    shown = {name for name in OURS["media-bridge"] | OURS["control-plane"] if f'"{name}"' in text}
    assert shown == OURS["media-bridge"] | OURS["control-plane"]
    assert '"Service"' not in text
    for widget in widgets:
        assert widget["properties"]["title"]
