"""Typed values in and out of DynamoDB, and what its conditions answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from phonebridge.storage.table import ItemKey, Table
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MINUTE = 60
KEY = ItemKey("SHELF#1", "BOOK#1")


@dataclass(frozen=True, slots=True)
class Author:
    name: str
    born: int | None = None


@dataclass(frozen=True, slots=True)
class Book:
    title: str
    version: int = 0
    is_lent: bool = False
    author: Author | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    shelf_id: str
    books: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    titles: list[str]


@pytest.fixture
def table(client: "DynamoDBClient", table_name: str, clock: Clock) -> Table:
    return Table(table_name, client, clock)


@pytest.fixture
def lagging_replica(client: "DynamoDBClient") -> Iterator[list[bool]]:
    """Answers eventually consistent reads without the item. The result lists whether each read was
    consistent."""
    reads: list[bool] = []

    def read(params: dict[str, Any], **_: object) -> None:
        reads.append(params["ConsistentRead"])

    def answer(parsed: dict[str, Any], **_: object) -> None:
        if not reads[-1]:
            parsed.pop("Item", None)

    events = client.meta.events
    events.register("provide-client-params.dynamodb.GetItem", read)
    events.register("after-call.dynamodb.GetItem", answer)
    yield reads
    events.unregister("provide-client-params.dynamodb.GetItem", read)
    events.unregister("after-call.dynamodb.GetItem", answer)


@pytest.fixture
def lose_next_answer(client: "DynamoDBClient") -> Iterator[Callable[[], None]]:
    """Makes boto3 believe that the answer to the next put got lost, so that it puts again."""
    lost: list[bool] = []
    event = "needs-retry.dynamodb.PutItem"

    def needs_retry(**_: object) -> Any:  # seconds to wait, or None: enough
        return 0 if lost and lost.pop() else None

    client.meta.events.register_first(event, needs_retry)
    yield lambda: lost.append(True)
    client.meta.events.unregister(event, needs_retry)
    assert not lost, "a put was made"


@pytest.mark.parametrize(
    "book",
    [
        Book("Emma"),
        Book("", version=-7, is_lent=True),
        Book("Ämmä 😀", version=1_795_000_000_000, author=Author("Austen", 1775)),
        Book("Emma", author=Author("Austen")),
    ],
)
def test_a_value_is_read_as_it_was_put(table: Table, book: Book) -> None:
    table.put(KEY, book, MINUTE)
    assert table.get(KEY, Book) == book


def test_nothing_is_stored_for_a_default_but_the_version_that_conditions_look_at(
    table: Table, client: "DynamoDBClient", table_name: str
) -> None:
    table.put(KEY, Book("Emma", author=Author("Austen")), MINUTE)
    stored = client.get_item(TableName=table_name, Key={"pk": {"S": KEY.pk}, "sk": {"S": KEY.sk}})
    assert stored["Item"].keys() == {"pk", "sk", "title", "version", "author", "expires_at"}
    assert stored["Item"]["author"] == {"M": {"name": {"S": "Austen"}}}


def test_what_the_key_says_is_not_said_twice(
    table: Table, client: "DynamoDBClient", table_name: str
) -> None:
    shelf, lent_out = Shelf("1#a", 0), Shelf("2", 7)
    assert table.put_if_absent(ItemKey("SHELF#1#a", "SHELF"), shelf, MINUTE) is shelf
    assert table.put_if_absent(ItemKey("SHELF#1#a", "SHELF"), Shelf("1#a", 3), MINUTE) == shelf
    table.put(ItemKey("SHELF#1#a", "LENT_OUT"), lent_out, MINUTE)
    items = client.query(
        TableName=table_name,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "SHELF#1#a"}},
    )["Items"]
    assert ["shelf_id" in item for item in items] == [True, False]
    assert [s.read(Shelf) for s in table.partition("SHELF#1#a")] == [lent_out, shelf]


def test_what_the_table_cannot_hold_is_named(table: Table) -> None:
    with pytest.raises(TypeError, match="list"):
        table.put(KEY, Catalogue(["Emma"]), MINUTE)


def test_the_first_one_added_stays(table: Table) -> None:
    first, second = Book("Emma"), Book("Persuasion")
    assert table.put_if_absent(KEY, first, MINUTE) is first
    assert table.put_if_absent(KEY, second, MINUTE) == first
    assert table.get(KEY, Book) == first


def test_what_has_expired_is_in_nobodys_way(table: Table, clock: Clock) -> None:
    table.put_if_absent(KEY, Book("Emma"), MINUTE)
    clock.pass_seconds(MINUTE)
    assert table.get(KEY, Book) is None
    assert list(table.partition(KEY.pk)) == []
    second = Book("Persuasion")
    assert table.put_if_absent(KEY, second, MINUTE) is second


def test_a_value_is_replaced_at_its_version_alone(table: Table) -> None:
    assert not table.put_if_version(KEY, Book("Emma", version=1), MINUTE, version=0)
    table.put_if_absent(KEY, Book("Emma"), MINUTE)
    assert table.put_if_version(KEY, Book("Emma", version=1), MINUTE, version=0)
    assert not table.put_if_version(KEY, Book("Emma", version=1, is_lent=True), MINUTE, version=0)
    assert table.get(KEY, Book) == Book("Emma", version=1)


def test_a_refused_value_returns_the_one_that_is_there(table: Table, clock: Clock) -> None:
    first, second = Book("Emma", version=1), Book("Persuasion", version=1)
    assert table.put_or_find(KEY, first, MINUTE, version=0) is None, "nothing to replace"
    table.put_if_absent(KEY, Book("Emma"), MINUTE)
    assert table.put_or_find(KEY, first, MINUTE, version=0) is first
    assert table.put_or_find(KEY, second, MINUTE, version=0) == first
    clock.pass_seconds(MINUTE)
    assert table.put_or_find(KEY, second, MINUTE, version=0) is None, "it has expired"


def test_a_lost_answer_is_no_lost_race(table: Table, lose_next_answer: Callable[[], None]) -> None:
    book = Book("Emma")
    lose_next_answer()
    assert table.put_if_absent(KEY, book, MINUTE) is book
    lose_next_answer()
    assert table.put_if_version(KEY, Book("Emma", version=1), MINUTE, version=0)
    assert not table.put_if_version(KEY, Book("Emma", version=1), MINUTE, version=0)


def test_what_is_removed_is_removed_once(table: Table) -> None:
    table.put(KEY, Book("Emma"), MINUTE)
    assert table.remove(KEY)
    assert not table.remove(KEY)


def test_a_partition_is_read_in_the_order_of_its_keys(table: Table) -> None:
    for number, title in ((2, "Persuasion"), (1, "Emma")):
        table.put(ItemKey("SHELF#1", f"BOOK#{number}"), Book(title), MINUTE)
    table.put(ItemKey("SHELF#1", "AUTHOR#1"), Author("Austen"), MINUTE)
    table.put(ItemKey("SHELF#2", "BOOK#1"), Book("Ulysses"), MINUTE)
    assert [stored.sk for stored in table.partition("SHELF#1")] == ["AUTHOR#1", "BOOK#1", "BOOK#2"]
    books = [stored.read(Book) for stored in table.query_prefix("SHELF#1", "BOOK#")]
    assert books == [Book("Emma"), Book("Persuasion")]


def test_an_index_holds_what_bears_its_keys_newest_first(table: Table) -> None:
    for day in range(1, 6):
        key = ItemKey(f"SHELF#{day}", "BOOK#1")
        table.put_if_absent(key, Book(f"day {day}"), MINUTE, live="LENT", live_at=f"day {day}")
    table.put_if_version(ItemKey("SHELF#4", "BOOK#1"), Book("back again"), MINUTE, version=0)
    found = table.newest_first("live", "LENT", None, 2)
    assert [stored.read(Book).title for stored in found] == ["day 5", "day 3", "day 2", "day 1"]
    found = table.newest_first("live", "LENT", "day 3", 2)
    assert [stored.read(Book).title for stored in found] == ["day 2", "day 1"]


def test_an_immutable_item_that_a_replica_lacks_is_read_again(
    table: Table, lagging_replica: list[bool]
) -> None:
    table.put(KEY, Book("Emma"), MINUTE)
    assert table.get_immutable(KEY, Book) == Book("Emma")
    assert lagging_replica == [False, True]
