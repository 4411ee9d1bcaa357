from benchmarks.console.talk_page import DELAY, FIRST_SOUND, table, too_slow

FOUND = {FIRST_SOUND: [400.0, 300.0, 900.0], DELAY: [35.0] * 20}


def test_a_row_has_the_median_the_slow_ones_and_the_limit() -> None:
    assert table(FOUND).splitlines()[-2:] == [
        f"| {FIRST_SOUND} | 400 ms | 400 ms | 700 ms |",
        f"| {DELAY} | 35 ms | 35 ms | 60 ms |",
    ]


def test_half_of_the_figures_must_be_within_the_limit() -> None:
    assert too_slow(FOUND) == []
    assert too_slow(FOUND | {DELAY: [61.0, 70.0, 10.0]}) == [DELAY]
