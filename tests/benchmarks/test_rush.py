"""A thousand calls within seconds."""

from limits import Asked, Load, OneCall
from phonebridge.store import SHARDS
from rush import peaks, section

TWENTY_AT_TEN_A_SECOND = Load(20, 10.0, "20 calls, 10 placed a second")
ONE = OneCall(
    [
        Asked("PutItem", "CALL", write_units=1, indexed=("live",), at=0.0),
        Asked("PutItem", "FLEET", write_units=1, at=0.05),
        Asked("PutItem", "CALL", write_units=3, at=30.05),
    ],
    seconds=31.0,
)


def asked(one: OneCall, load: Load = TWENTY_AT_TEN_A_SECOND) -> dict[str, float]:
    return {peak.name.split(",")[0]: peak.asked for peak in peaks(one, load)}


def test_the_busiest_second_is_that_of_ten_ends() -> None:
    found = asked(ONE)
    assert found["table"] == 30
    assert found["partition `FLEET`"] == 10


def test_a_copy_in_an_index_is_written_too_and_falls_to_one_shard() -> None:
    begins = OneCall(ONE.asked[:1], seconds=1.0)
    found = asked(begins)
    assert found["table"] == 20
    assert 10 / SHARDS <= found["partition of index `live`"] <= 10
    assert found["partition of index `ended`"] == 0


def test_calls_placed_slowly_never_meet() -> None:
    assert asked(ONE, Load(5, 0.01, "slow"))["table"] == 3


def test_the_section_tells_how_it_was_made() -> None:
    text = section(ONE, TWENTY_AT_TEN_A_SECOND)
    assert "100 ms\nafter the one before" in text
    assert "| table | 30 | 40,000 |" in text
