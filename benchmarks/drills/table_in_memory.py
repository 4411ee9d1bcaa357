"""An in-memory DynamoDB with the operations that `phonebridge.storage.table` uses. It counts the
units of each request per partition, and is much faster than the embedded one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from types import SimpleNamespace
from typing import Any

from benchmarks.control_plane.dynamodb_units import Item, item_bytes, read_units, write_units

Units = dict[str, dict[int, float]]
"""Units by partition and second."""

INDEXES = ("live", "ended")


class ConditionFailed(Exception):
    def __init__(self, found: Item | None) -> None:
        super().__init__("The conditional request failed")
        self.response = {"Item": found} if found else {}


_CONDITIONS: Mapping[str, Callable[[Item | None, int], bool]] = {
    "attribute_exists(pk)": lambda found, _: found is not None,
    "attribute_not_exists(is_over)": lambda found, _: "is_over" not in (found or {}),
    "attribute_not_exists(pk) OR expires_at <= :given": lambda found, given: (
        found is None or int(found["expires_at"]["N"]) <= given
    ),
    "version = :given": lambda found, given: (
        found is not None and int(found["version"]["N"]) == given
    ),
}
_RANGES: Mapping[str, Callable[..., bool]] = {
    "": lambda _: True,
    "sk >= :sk": lambda sort_key, given: sort_key >= given,
    "sk > :sk": lambda sort_key, given: sort_key > given,
    "sk BETWEEN :oldest AND :newest": lambda sort_key, low, high: low <= sort_key <= high,
    "begins_with(sk, :prefix)": lambda sort_key, given: sort_key.startswith(given),
    "live_at < :before": lambda sort_key, given: sort_key < given,
    "ended_at < :before": lambda sort_key, given: sort_key < given,
}


class TableInMemory:
    """Replaces boto3's client.

    Units are kept by partition and second, those of an index under `<index>#<partition>`. Those of
    all items are under `items`, and together with their copies under `table`.
    """

    exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionFailed)

    def __init__(self, now: Callable[[], float], pause: Callable[[], object]) -> None:
        """`pause` takes as long as a request does."""
        self.written: Units = defaultdict(lambda: defaultdict(float))
        self.read: Units = defaultdict(lambda: defaultdict(float))
        self.refused: Counter[str] = Counter()
        """Number of conditions that did not hold."""
        self._now = now
        self._pause = pause
        self._partitions: dict[str, dict[str, Item]] = defaultdict(dict)

    def partitions(self) -> set[str]:
        """The keys of the partitions in which something stands."""
        return {pk for pk, items in self._partitions.items() if items}

    def sort_keys(self, pk: str) -> list[str]:
        return sorted(self._partitions[pk])

    def get_item(self, *, Key: Item, ConsistentRead: bool, **_: Any) -> dict[str, Any]:
        self._pause()
        pk, sk = _place(Key)
        found = self._partitions[pk].get(sk)
        self._reads(pk, item_bytes(found or {}), ConsistentRead)
        return {"Item": found} if found else {}

    def put_item(self, *, Item: Item, **condition: Any) -> dict[str, Any]:
        self._pause()
        self._write(*_place(Item), Item, condition)
        return {}

    def delete_item(self, *, Key: Item, **condition: Any) -> dict[str, Any]:
        self._pause()
        self._write(*_place(Key), None, condition)
        return {}

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        self._pause()
        for requests in RequestItems.values():
            for request in requests:
                item = request["PutRequest"]["Item"]
                self._write(*_place(item), item, {})
        return {"UnprocessedItems": {}}

    def query(
        self,
        *,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        ConsistentRead: bool = False,
        ScanIndexForward: bool = True,
        IndexName: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Return everything that matches as one page."""
        self._pause()
        wanted = KeyConditionExpression.partition(" AND ")[2]
        partition, *bounds = (value["S"] for value in ExpressionAttributeValues.values())
        sort_key = f"{IndexName}_at" if IndexName else "sk"
        is_wanted, candidates = _RANGES[wanted], self._candidates(IndexName, partition)
        found = [item for item in candidates if is_wanted(item[sort_key]["S"], *bounds)]
        found.sort(key=lambda item: str(item[sort_key]["S"]), reverse=not ScanIndexForward)
        name = f"{IndexName}#{partition}" if IndexName else partition
        self._reads(name, sum(map(item_bytes, found)), ConsistentRead)
        return {"Items": found, "Count": len(found)}

    def _candidates(self, index: str | None, partition: str) -> Iterator[Item]:
        if index is None:
            yield from self._partitions[partition].values()
            return
        for item in chain.from_iterable(each.values() for each in self._partitions.values()):
            if any(place == partition for place, _ in _places_in(index, item)):
                yield item

    def _write(self, pk: str, sk: str, item: Item | None, condition: Mapping[str, Any]) -> None:
        found = self._partitions[pk].get(sk)
        expression = condition.get("ConditionExpression")
        given = condition.get("ExpressionAttributeValues", {}).get(":given", {"N": "0"})
        if expression and not _CONDITIONS[expression](found, int(given["N"])):
            self.refused[expression] += 1
            self._writes(pk, _write_units(found, found))  # billed although the condition failed
            raise ConditionFailed(found)
        if item is None:
            self._partitions[pk].pop(sk, None)
        else:
            self._partitions[pk][sk] = item
        self._writes(pk, _write_units(found, item))
        for index in INDEXES:
            # A copy that moves within the index is deleted in one place and written in another.
            for partition, _ in {*_places_in(index, found), *_places_in(index, item)}:
                self._writes(f"{index}#{partition}", _write_units(found, item), "table")

    def _writes(self, name: str, units: float, *sums: str) -> None:
        for each in (name, *(sums or ("items", "table"))):
            self.written[each][int(self._now())] += units

    def _reads(self, name: str, read_bytes: int, consistent: bool) -> None:
        self.read[name][int(self._now())] += read_units(read_bytes, consistent)


def busiest(units: Units, name: str) -> float:
    """Return the units of the busiest second, for one partition or its busiest shard."""
    found = (max(of.values()) for key, of in units.items() if key.partition("#")[0] == name)
    return max(found, default=0)


def _write_units(before: Item | None, after: Item | None) -> int:
    """Return the units of a write. DynamoDB bills the larger of the two sizes."""
    return max(write_units(before or {}), write_units(after or {}))


def _places_in(index: str, item: Item | None) -> Iterator[tuple[str, str]]:
    """Yield partition and sort key of the item's copy in the index, if it has one."""
    if item and index in item:
        yield item[index]["S"], item[f"{index}_at"]["S"]


def _place(key: Item) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]
