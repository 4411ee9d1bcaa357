"""What a call asks of DynamoDB, as it is billed, and what many calls come to."""

import pytest

from calls import outbound_call
from dynamodb import create_table, dynamodb, local_client
from phonebridge.call import Leg
from phonebridge.call_config import CallConfig
from phonebridge.store import DynamoCallStore
from results import Results
from scale import CONCURRENT_CALLS, Asked, OneCall, limits, listening, render
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
    assert asked == [
        Asked("PutItem", "CALL", write_units=2),
        Asked("PutItem", "CALL", write_units=1, indexed=("live",)),
        Asked("PutItem", "LEG", write_units=1),
        Asked("GetItem", "CALL", read_units=1),
    ]


def test_an_index_is_written_again() -> None:
    assert ONE.all_writes == 5
    assert ONE.index_writes("live") == 1


def test_ten_times_the_calls_ask_for_ten_times_as_much_of_what_is_theirs() -> None:
    few, many = (
        {limit.name: limit.share for limit in limits(ONE, calls)} for calls in (1_000, 10_000)
    )
    per_call = ("table: writes a second", "index `live`: writes a second and shard")
    for name in per_call:
        assert many[name] == pytest.approx(10 * few[name])
    alone = "partition `TASK`: reads a second and task"
    assert many[alone] == few[alone]


def test_the_page_names_every_limit_and_every_size() -> None:
    page = render(ONE, Results())
    for calls in CONCURRENT_CALLS:
        assert f"{calls:,} calls" in page
        for limit in limits(ONE, calls):
            assert f"| {limit.name} (" in page
