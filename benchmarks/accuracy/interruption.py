"""Measures how exact interruptions are. It compares the truncation of each item, as the model
received it, with the audio that the carrier really played. It runs thousands of conversations in
virtual time and prints the table of docs/interruption.md.

make bench-interruption ARGS="--conversations 300"
"""

import argparse
from collections.abc import Iterator, Mapping
from random import Random

from benchmarks.accuracy.virtual_call import Answer, Line, Network, VirtualCall

ANSWERS = 6
NEAR = Network(delay_ms=30, jitter_ms=20)
LINES: Mapping[str, Line] = {
    "no delay": Line(Network(0), Network(0)),
    "30 to 50 ms each way": Line(NEAR, NEAR),
    "20 to 70 ms each way": Line(Network(20, 50), Network(20, 50)),
    "150 to 170 ms each way": Line(Network(150, 20), Network(150, 20)),
    "the carrier starts 60 ms late": Line(NEAR, NEAR, starts_late_ms=60),
    "the carrier starts 150 ms late": Line(NEAR, NEAR, starts_late_ms=150),
    "our process stalls 150 ms": Line(NEAR, NEAR, stalls_loop_ms=150),
    "the way back stalls 400 ms": Line(NEAR, Network(30, 20, stall_ms=400)),
    "the way there stalls 400 ms": Line(Network(30, 20, stall_ms=400), NEAR),
    "no marks come back": Line(NEAR, NEAR, gives_marks_back=False),
}


def answers(luck: Random) -> tuple[Answer, ...]:
    return tuple(_answer(luck) for _ in range(ANSWERS))


def _answer(luck: Random) -> Answer:
    return Answer(
        items_ms=tuple(luck.randint(50, 4000) for _ in range(luck.choice((1, 1, 2, 3)))),
        burst=luck.choice((1.2, 3, 8, 50)),
        interrupted_after_ms=luck.choice((None, luck.randint(0, 1500), luck.randint(0, 6000))),
        by_api=luck.random() < 0.3,
        ends_late=luck.random() < 0.3,
    )


def errors_ms(line: Line, conversations: int) -> Iterator[float]:
    for seed in range(conversations):
        call = VirtualCall(line, answers(Random(seed)), seed)
        call.run()
        yield from call.errors_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=300, help="conversations per line")
    conversations = parser.parse_args().conversations
    print("| line | items cut | mean | p50 | p99 | max | within 60 ms |")
    print("|---|---|---|---|---|---|---|")
    for name, line in LINES.items():
        print(_row(name, list(errors_ms(line, conversations))))


def _row(name: str, errors: list[float]) -> str:
    sizes = sorted(map(abs, errors))
    count = len(sizes)
    near = sum(size <= 60 for size in sizes) / count
    figures = (sum(errors) / count, sizes[count // 2], sizes[count * 99 // 100], sizes[-1])
    shown = " | ".join(f"{figure:.0f} ms" for figure in figures)
    return f"| {name} | {count} | {shown} | {near:.1%} |"


if __name__ == "__main__":
    main()
