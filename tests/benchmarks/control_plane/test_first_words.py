from benchmarks.control_plane.first_words import CASES, FirstWords, table, too_slow

FOUND = {
    "`on_answer`": [FirstWords(200, 850, 1060)],
    "`prepared`, kept": [
        FirstWords(1, 2, 20),
        FirstWords(2, 30, 40),
        FirstWords(3, 4, 40),
    ],
}


def test_a_row_tells_medians_and_the_slowest_call() -> None:
    rows = table(FOUND).splitlines()
    assert rows[-1] == "| `prepared`, kept | 2 ms | 4 ms | 30 ms | 40 ms |"


def test_prepared_greetings_alone_have_a_limit() -> None:
    assert too_slow(FOUND) == []
    late = {"`prepared`, kept": [FirstWords(1, 61, 80)], "`with_dial`": [FirstWords(1, 450, 460)]}
    assert too_slow(late) == ["`prepared`, kept"]
    assert len([name for name in CASES if "prepared" in name]) == 3
