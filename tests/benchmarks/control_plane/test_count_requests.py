"""DynamoDB requests of a call, as they are billed."""

from pathlib import Path

from aws.dynamodb import create_table, dynamodb, local_client
from aws.template import load_template
from benchmarks.control_plane.count_requests import listening, load, save
from benchmarks.control_plane.limits import Asked, OneCall
from phonebridge.call.call import Leg
from phonebridge.call.config import CallConfig
from phonebridge.storage.call_store import DynamoCallStore
from tests.support.calls import outbound_call


def test_what_the_store_asks_is_counted_by_partition() -> None:
    with dynamodb() as address, listening() as asked:
        client = local_client(address)
        create_table(client, "counted", load_template())
        store = DynamoCallStore("counted", client, lambda: 0)
        asked.clear()
        store.create(outbound_call("call-1"), CallConfig(instructions="x" * 1100))
        store.link_leg(Leg("v3:leg"), "call-1")
        store.load("call-1")
        client.close()
    assert asked == [
        Asked("PutItem", "CALL", write_units=2),
        Asked("PutItem", "CALL", write_units=1, indexed=("live",)),
        Asked("PutItem", "LEG", write_units=1),
        Asked("GetItem", "CALL", read_units=1),
    ]


def test_a_counted_call_is_stored_with_each_request_once(tmp_path: Path) -> None:
    read, write = Asked("GetItem", "CALL", read_units=1), Asked("PutItem", "FLEET", write_units=1)
    path = tmp_path / "requests.json"
    save(OneCall([read, write, read], seconds=30.0), path)
    assert load(path) == OneCall([read, read, write], seconds=30.0)
    assert path.read_text().count("GetItem") == 1
