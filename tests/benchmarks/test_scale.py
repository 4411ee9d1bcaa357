"""What a call asks of DynamoDB, as it is billed, and what many calls come to."""

from msgspec.structs import replace

from cold_start import ColdStarts, Warm
from cores import Cores
from dynamodb import create_table, dynamodb, local_client
from limits import LOADS, Asked, OneCall, limits
from phonebridge.call import Leg
from phonebridge.call_config import CallConfig
from phonebridge.store import DynamoCallStore
from results import Results
from scale import listening, render
from storm import Storm, weathered
from storm_page import Storms
from support.calls import outbound_call
from template import load_template

ONE = OneCall(
    [
        Asked("PutItem", "CALL", write_units=1, indexed=("live",)),
        Asked("PutItem", "CALL", write_units=2),
        Asked("GetItem", "CALL", read_units=1),
        Asked("PutItem", "FLEET", write_units=1),
    ],
    seconds=30.0,
)
STORMS = Storms([weathered(Storm(calls)) for calls in (2, 4)], [weathered(Storm(4))])


def test_what_the_store_asks_is_counted_by_partition() -> None:
    with dynamodb() as address, listening() as asked:
        client = local_client(address)
        create_table(client, "counted", load_template())
        store = DynamoCallStore("counted", client, lambda: 0)
        asked.clear()
        store.create(outbound_call("call-1"), CallConfig(instructions="x" * 1100))
        store.link(Leg("v3:leg"), "call-1")
        store.load("call-1")
        client.close()
    assert [replace(each, at=0.0) for each in asked] == [
        Asked("PutItem", "CALL", write_units=2),
        Asked("PutItem", "CALL", write_units=1, indexed=("live",)),
        Asked("PutItem", "LEG", write_units=1),
        Asked("GetItem", "CALL", read_units=1),
    ]


def test_the_page_names_every_limit_and_every_size() -> None:
    page = render(ONE, Results(), Cores([], Results()), None, STORMS)
    for load in LOADS:
        assert f" {load.name} |" in page
        for limit in limits(ONE, load):
            assert f"| {limit.name} (" in page


def test_the_work_of_a_burst_is_told_in_cores() -> None:
    starts = ColdStarts([], [Warm("create a call", 8.0, 60.0), Warm("webhook call.hangup", 4.0, 9)])
    page = render(ONE, Results(), Cores([], Results()), starts, STORMS)
    assert "is 2.4 cores' worth" in page


def test_the_page_says_what_is_passed_when_quotas_are_raised() -> None:
    page = render(ONE, Results(), Cores([], Results()), None, STORMS)
    assert "* 10,000 calls, quotas raised: the nearest is partition `FLEET`: writes" in page
    assert "* 100,000 calls, quotas raised: passed: partition `FLEET`: reads" in page
