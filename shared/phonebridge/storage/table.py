"""The DynamoDB table: typed values in and out, one item at a time, with conditional writes.

Expired items are treated as missing, because DynamoDB may take up to two days to delete them. With
None as lifetime, an item never expires.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T", bound="DataclassInstance")

_AFTER_EVERY_SORT_KEY = "~"
_MAX_BATCH = 25
"""Items of one `BatchWriteItem` (DynamoDB, "BatchWriteItem")."""


@dataclass(frozen=True, slots=True)
class ItemKey:
    pk: str
    sk: str


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as it was read. Its sort key determines its type."""

    pk: str
    sk: str
    _attributes: Mapping[str, Any]

    def read(self, kind: type[T]) -> T:
        return _read(self._attributes, kind)

    def read_or_none(self, kind: type[T]) -> T | None:
        """Return None for an item that another version of Phonebridge has written, and that this
        one cannot read. It must not hide the others of a list."""
        try:
            return self.read(kind)
        except msgspec.ValidationError:
            return None


class Table:
    def __init__(self, name: str, client: "DynamoDBClient", now_ms: Callable[[], int]) -> None:
        self._name = name
        self._client = client
        self._now_ms = now_ms

    def get(self, key: ItemKey, kind: type[T]) -> T | None:
        return self._get(key, kind, is_consistent=True)

    def get_immutable(self, key: ItemKey, kind: type[T]) -> T | None:
        """Return an item that never changes. An eventually consistent read costs half. It may miss
        an item that was written a moment ago, but it cannot return an older one."""
        found = self._get(key, kind, is_consistent=False)
        return found or self._get(key, kind, is_consistent=True)

    def _get(self, key: ItemKey, kind: type[T], *, is_consistent: bool) -> T | None:
        found = self._client.get_item(
            TableName=self._name, Key=_key(key), ConsistentRead=is_consistent
        )
        item = found.get("Item")
        return _read(item, kind) if item and self._is_valid(item) else None

    def put(self, key: ItemKey, value: "DataclassInstance", keep_seconds: int | None) -> None:
        self._client.put_item(TableName=self._name, Item=self._item(key, value, keep_seconds))

    def put_all(
        self, values: Mapping[ItemKey, "DataclassInstance"], keep_seconds: int
    ) -> list[ItemKey]:
        """Write the items in as few requests as possible. Return the keys of items that DynamoDB
        did not accept because of its limits."""
        requests: list[Any] = [
            {"PutRequest": {"Item": self._item(key, value, keep_seconds)}}
            for key, value in values.items()
        ]
        left: list[ItemKey] = []
        for start in range(0, len(requests), _MAX_BATCH):
            batch = {self._name: requests[start : start + _MAX_BATCH]}
            unprocessed = self._client.batch_write_item(RequestItems=batch)["UnprocessedItems"]
            for request in unprocessed.get(self._name, []):
                item = request["PutRequest"]["Item"]
                left.append(ItemKey(item["pk"]["S"], item["sk"]["S"]))
        return left

    def put_if_absent(self, key: ItemKey, value: T, keep_seconds: int, **index_keys: str) -> T:
        """Store the value if there is none yet. Return the value that is there now."""
        refused = self._put_if(
            "attribute_not_exists(pk) OR expires_at <= :given",
            self._now_seconds(),
            self._item(key, value, keep_seconds, **index_keys),
        )
        return value if refused is None else _read(refused, type(value))

    def put_if_version(
        self,
        key: ItemKey,
        value: "DataclassInstance",
        keep_seconds: int,
        *,
        version: int,
    ) -> bool:
        """Store the value if the present one has this version."""
        item = self._item(key, value, keep_seconds)
        return self._put_if("version = :given", version, item) is None

    def put_or_find(
        self, key: ItemKey, value: T, keep_seconds: int, *, version: int, **index_keys: str
    ) -> T | None:
        """Store the value if the present one has this version. Return the value that is there now,
        or None if there is none. A refused write returns it, so this costs no read."""
        item = self._item(key, value, keep_seconds, **index_keys)
        refused = self._put_if("version = :given", version, item)
        if refused is None:
            return value
        return _read(refused, type(value)) if refused and self._is_valid(refused) else None

    def put_unless_marked(
        self, key: ItemKey, value: "DataclassInstance", keep_seconds: int, *, mark: str
    ) -> bool:
        """Store the value unless the present one has the attribute `mark`."""
        item = self._item(key, value, keep_seconds)
        return self._put_if(f"attribute_not_exists({mark})", None, item) is None

    def remove(self, key: ItemKey) -> bool:
        """Delete an item. Return False if it did not exist."""
        try:
            self._client.delete_item(
                TableName=self._name, Key=_key(key), ConditionExpression="attribute_exists(pk)"
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def partition(self, pk: str, *, is_consistent: bool = True) -> Iterator[StoredItem]:
        """Yield all items of a partition in the order of their sort keys."""
        return self._query(
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": _attribute(pk)},
            ConsistentRead=is_consistent,
        )

    def query_from(self, pk: str, sk: str) -> Iterator[StoredItem]:
        """Yield items of a partition from a sort key on, eventually consistent."""
        return self._query(
            KeyConditionExpression="pk = :pk AND sk >= :sk",
            ExpressionAttributeValues={":pk": _attribute(pk), ":sk": _attribute(sk)},
        )

    def query_after(self, pk: str, sk: str | None, page_size: int) -> Iterator[StoredItem]:
        """Yield items of a partition in the order of their sort keys, from the one after `sk`
        on."""
        return self._query(
            KeyConditionExpression="pk = :pk AND sk > :sk",
            # No sort key is empty, and none of ours comes before "!".
            ExpressionAttributeValues={":pk": _attribute(pk), ":sk": _attribute(sk or "!")},
            ConsistentRead=True,
            Limit=page_size,
        )

    def query_prefix(self, pk: str, sk_prefix: str) -> Iterator[StoredItem]:
        """Yield items with a sort key prefix, eventually consistent (half the price of a poll)."""
        return self._query(
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": _attribute(pk), ":prefix": _attribute(sk_prefix)},
        )

    def newest_first(
        self, index: str, partition: str, before: str | None, page_size: int
    ) -> Iterator[StoredItem]:
        """Yield items of an index. Its keys are called `<index>` and `<index>_at`."""
        return self._query(
            IndexName=index,
            KeyConditionExpression=f"{index} = :partition AND {index}_at < :before",
            ExpressionAttributeValues={
                ":partition": _attribute(partition),
                ":before": _attribute(before or _AFTER_EVERY_SORT_KEY),
            },
            ScanIndexForward=False,
            Limit=page_size,
        )

    def _query(self, **query: Any) -> Iterator[StoredItem]:
        # By hand: a paginator of boto3's costs half as much again as the query itself, and a
        # mailbox is polled all the time.
        while True:
            page = self._client.query(TableName=self._name, **query)
            for item in page["Items"]:
                if self._is_valid(item):
                    yield StoredItem(item["pk"]["S"], item["sk"]["S"], item)
            if not (last := page.get("LastEvaluatedKey")):
                return
            query["ExclusiveStartKey"] = last

    def _put_if(
        self, condition: str, given: int | None, item: dict[str, Any]
    ) -> Mapping[str, Any] | None:
        """Write an item. Return None if it was written, or else the conflicting item (empty if
        there is none)."""
        item["write_id"] = _attribute(secrets.token_hex(8))
        # DynamoDB refuses an empty map of values.
        values: Any = (
            {} if given is None else {"ExpressionAttributeValues": {":given": _attribute(given)}}
        )
        try:
            self._client.put_item(
                TableName=self._name,
                Item=item,
                ConditionExpression=condition,
                **values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            answer: Mapping[str, Any] = dict(refused.response)
            found = answer.get("Item", {})
            # boto3 repeats a write whose answer got lost: then its own first attempt stands in
            # the way, and to take that for another writer would drop what the call asks for.
            return None if found.get("write_id") == item["write_id"] else found
        return None

    def _item(
        self, key: ItemKey, value: "DataclassInstance", keep_seconds: int | None, **index_keys: str
    ) -> dict[str, Any]:
        item = _key(key) | _attributes(value, _fields_in_key(key.pk))
        item |= {name: _attribute(index_key) for name, index_key in index_keys.items()}
        if keep_seconds is not None:
            item["expires_at"] = _attribute(self._now_seconds() + keep_seconds)
        return item

    def _is_valid(self, item: Mapping[str, Any]) -> bool:
        expires_at = item.get("expires_at")
        return expires_at is None or int(expires_at["N"]) > self._now_seconds()

    def _now_seconds(self) -> int:
        return self._now_ms() // 1000


def _key(key: ItemKey) -> dict[str, Any]:
    return {"pk": _attribute(key.pk), "sk": _attribute(key.sk)}


def _read(attributes: Mapping[str, Any], kind: type[T]) -> T:
    stored = {name: _plain(value) for name, value in attributes.items()}
    return msgspec.convert(_fields_in_key(attributes["pk"]["S"]) | stored, kind)


def _fields_in_key(pk: str) -> dict[str, str]:
    """Return the field that a partition key contains. `CALL#1` means that `call_id` is `1`."""
    kind, _, name = pk.partition("#")
    return {f"{kind.lower()}_id": name}


def _attributes(value: "DataclassInstance", known: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes to store. Fields in the key and default values are omitted, because
    every byte counts towards a write unit. Therefore the defaults of a stored type must never
    change."""
    return {
        field.name: _attribute(held)
        for field in fields(value)
        if (held := getattr(value, field.name)) != known.get(field.name, field.default)
        or field.name == "version"  # conditions look at it, at version 0 too
    }


def _attribute(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": str(value)}  # an enum's value
        case bytes():
            return {"B": value}
    if is_dataclass(value) and not isinstance(value, type):
        return {"M": _attributes(value, {})}
    raise TypeError(f"{type(value).__name__} is no attribute of this table")


def _plain(attribute: Mapping[str, Any]) -> object:
    match attribute:
        case {"N": number}:
            return int(number)  # boto3's own deserializer makes it a Decimal
        case {"M": values}:
            return {name: _plain(value) for name, value in values.items()}
    return next(iter(attribute.values()))
