"""A rush, simulated: the requests of the one call that was counted (scale.py), replayed for each of
a thousand, one after the other; what the busiest second asks of what they share.
"""

from collections import defaultdict
from dataclasses import dataclass
from random import Random

from limits import PARTITION_WRITES, TABLE_WRITES, Load, OneCall
from phonebridge.store import SHARDS

Units = dict[str, dict[int, float]]
"""By shared thing and second."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Write units in the busiest second, and how many it takes."""

    name: str
    asked: float
    most: float


def peaks(one: OneCall, load: Load) -> list[Peak]:
    seconds = _replayed(one, load)
    return [
        Peak("table", busiest(seconds, "table"), TABLE_WRITES),
        *(
            Peak(f"partition {name}", busiest(seconds, key), PARTITION_WRITES)
            for name, key in (
                ("`FLEET`, were each call alone in its task", "FLEET"),
                ("of index `live`, the fullest of its shards", "live"),
                ("of index `ended`, the fullest of its shards", "ended"),
            )
        ),
    ]


def _replayed(one: OneCall, load: Load) -> Units:
    """Write units. A shard is its call's by chance, as a hash is."""
    chance = Random(load.calls)
    units: Units = defaultdict(lambda: defaultdict(float))
    for number in range(load.calls):
        shard = chance.randrange(SHARDS)
        for each in one.asked:
            second = int(number / load.rate + each.at)
            names = [f"{index}#{shard}" for index in each.indexed]
            units["table"][second] += each.write_units * (1 + len(names))
            for name in (each.partition, *names):
                units[name][second] += each.write_units
    return units


def busiest(units: Units, name: str) -> float:
    """Of one thing, or of the fullest of its shards."""
    found = (max(of.values()) for key, of in units.items() if key.partition("#")[0] == name)
    return max(found, default=0)


def section(one: OneCall, load: Load) -> str:
    rows = "".join(
        f"| {each.name} | {each.asked:,.0f} | {each.most:,.0f} |\n" for each in peaks(one, load)
    )
    return (
        f"## A rush\n\n{load.name}, simulated: the requests of the call above, replayed for each"
        f" {1000 / load.rate:.0f} ms\nafter the one before it. Each ends {one.seconds:.0f} s after"
        " it was placed, so that the ends come as fast.\n\n"
        "| | write units in the busiest second | of |\n|---|--:|--:|\n" + rows
    )
