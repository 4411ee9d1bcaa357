"""The load of many calls, computed from one call."""

import pytest

from benchmarks.control_plane.limits import (
    BURST,
    CREATES,
    WEBHOOK_REQUESTS,
    Asked,
    OneCall,
    limits,
    nearest,
    steady,
)
from tests.support.translated import TEMPLATE

ONE = OneCall(
    [
        Asked("PutItem", "CALL", write_units=1, indexed=("live",)),
        Asked("PutItem", "CALL", write_units=2),
        Asked("GetItem", "CALL", read_units=1),
        Asked("PutItem", "FLEET", write_units=1),
    ],
    seconds=30.0,
)


def test_an_index_is_written_again() -> None:
    assert ONE.all_writes == 5
    assert ONE.index_writes("live") == 1


def test_ten_times_the_calls_ask_for_ten_times_as_much_of_what_is_theirs() -> None:
    few, many = (
        {limit.name: limit.share for limit in limits(ONE, steady(calls))}
        for calls in (1_000, 10_000)
    )
    per_call = ("table: writes a second", "index `live`: writes a second and shard")
    for name in per_call:
        assert many[name] == pytest.approx(10 * few[name])
    alone = "partition `TASK`: reads a second and task"
    assert many[alone] == few[alone]


def test_a_burst_asks_more_of_the_api_than_as_many_steady_calls_and_no_more_of_fargate() -> None:
    calm, burst = (
        {limit.name: limit.share for limit in limits(ONE, load)} for load in (steady(1_000), BURST)
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
    own = nearest(limits(ONE, steady(100_000)))
    assert own[0].name == "partition `FLEET`: reads a second"
    assert "Fargate: vCPU of the account" not in {each.name for each in own}
