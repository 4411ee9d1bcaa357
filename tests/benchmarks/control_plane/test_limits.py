"""The load of many calls, computed from one call."""

import pytest

from benchmarks.control_plane.limits import (
    BURST,
    CREATES,
    WEBHOOK_REQUESTS,
    limits,
    nearest,
    steady,
)
from tests.support.benchmark_runs import ONE_CALL
from tests.support.translated import TEMPLATE


def test_an_index_is_written_again() -> None:
    assert ONE_CALL.all_writes == 5
    assert ONE_CALL.index_writes("live") == 1


def test_ten_times_the_calls_ask_for_ten_times_as_much_of_what_is_theirs() -> None:
    few, many = (
        {limit.name: limit.share for limit in limits(ONE_CALL, steady(calls))}
        for calls in (1_000, 10_000)
    )
    per_call = ("table: writes a second", "index `live`: writes a second and shard")
    for name in per_call:
        assert many[name] == pytest.approx(10 * few[name])
    alone = "partition `TASK`: reads a second and task"
    assert many[alone] == few[alone]


def test_a_burst_asks_more_of_the_api_than_as_many_steady_calls_and_no_more_of_fargate() -> None:
    calm, burst = (
        {limit.name: limit.share for limit in limits(ONE_CALL, load)}
        for load in (steady(1_000), BURST)
    )
    assert burst["API: creates a second"] == pytest.approx(9 * calm["API: creates a second"])
    vcpu = "Fargate: vCPU of the account"
    assert burst[vcpu] == calm[vcpu]


def test_the_api_lets_through_what_the_template_says() -> None:
    settings = TEMPLATE["Resources"]["HttpApi"]["Properties"]["RouteSettings"]
    webhooks = settings["POST /webhooks/telnyx"]
    assert {*webhooks.values()} == {WEBHOOK_REQUESTS}  # per second, all at once
    assert TEMPLATE["Parameters"]["CreateCallsPerSecond"]["Default"] == CREATES


def test_a_quota_is_no_limit_of_ours() -> None:
    own = nearest(limits(ONE_CALL, steady(100_000)))
    assert own[0].name == "partition `FLEET`: reads a second"
    assert "Fargate: vCPU of the account" not in {each.name for each in own}
