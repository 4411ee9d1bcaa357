from benchmarks.control_plane.steering import table, too_slow

FOUND = {"interrupt": [10.0, 120.0, 300.0], "dtmf": [5.0] * 20}


def test_a_row_tells_half_nearly_all_and_the_slowest() -> None:
    assert table(FOUND).splitlines()[-2:] == [
        "| `interrupt` | `clear` at the carrier | 120 ms | 120 ms | 300 ms |",
        "| `dtmf` | `send_dtmf` at the carrier | 5 ms | 5 ms | 5 ms |",
    ]


def test_half_of_the_requests_must_be_quick() -> None:
    assert too_slow(FOUND) == []
    assert too_slow(FOUND | {"say": [250.0, 201.0, 10.0]}) == ["say"]
