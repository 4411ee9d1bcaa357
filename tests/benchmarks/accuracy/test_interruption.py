from random import Random

from benchmarks.accuracy.interruption import LINES, answers, errors_ms


def test_the_same_seed_is_the_same_conversation() -> None:
    assert answers(Random(1)) == answers(Random(1)) != answers(Random(2))
    line = LINES["30 to 50 ms each way"]
    assert list(errors_ms(line, 3)) == list(errors_ms(line, 3))
