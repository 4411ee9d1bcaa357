"""The cost of a stack without calls, computed from template.yaml."""

from dataclasses import replace

import pytest

from aws.template import Template, load_template
from benchmarks.control_plane import idle_cost


def changed(**defaults: int) -> Template:
    """Return template.yaml with other defaults."""
    template = load_template()
    given = {
        name: {**template.parameters[name], "Default": default}
        for name, default in defaults.items()
    }
    return replace(template, parameters={**template.parameters, **given})


def test_the_size_of_a_task_is_that_of_the_template() -> None:
    assert idle_cost.size_of(load_template()) == idle_cost.SMALL
    template = changed(MediaTaskCpu=512, MaxCallsPerTask=20)
    assert idle_cost.size_of(template) == idle_cost.TaskSize(512, 1024, 20)


def test_a_stack_without_calls_is_the_sum_of_its_resources() -> None:
    template = load_template()
    month = idle_cost.waiting_month(template, idle_cost.size_of(template, 256, 10))
    assert month["Fargate: 1 task of 0.25 vCPU and 0.5 GB"] == pytest.approx(7.21, abs=0.01)
    assert month["load balancer"] == pytest.approx(16.43, abs=0.01)
    assert month["3 public IPv4 addresses"] == pytest.approx(10.95)
    assert month["secret"] == pytest.approx(0.40)
    assert 38 < sum(month.values()) < 46


def test_another_alarm_costs_more() -> None:
    template = load_template()
    alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors"}}
    more = replace(template, resources={**template.resources, "AnotherAlarm": alarm})
    before, after = (
        sum(idle_cost.waiting_month(each, idle_cost.SMALL).values()) for each in (template, more)
    )
    assert after - before == pytest.approx(0.10)
