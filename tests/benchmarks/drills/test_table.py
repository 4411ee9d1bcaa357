"""The table of `make drill`."""

from dataclasses import dataclass

from benchmarks.drills.drill import DrillResult, KindResult
from benchmarks.drills.table import Row, loss_markdown, markdown, rows_by_fault, rows_by_kind


@dataclass(frozen=True, slots=True)
class ModelLost:
    """A fault that the table does not know yet."""

    number: int
    fault = "model session lost"

    @property
    def name(self) -> str:
        return f"{self.fault} {self.number}"

    def run(self) -> DrillResult:
        return result(silence=float(self.number))


def result(silence: float = 4.0, lost: int = 0) -> DrillResult:
    kind = KindResult(
        kind="talking",
        calls=2,
        lost=lost,
        moved=0,
        wrong=1,
        commands_lost=0,
        commands_repeated=0,
        legs_open_late=0,
        silences=(silence, silence),
        clean_seconds=(3.5,),
    )
    return DrillResult((kind,))


def test_the_runs_of_one_fault_are_one_row() -> None:
    drills = [ModelLost(1), ModelLost(5)]
    [row] = rows_by_fault(drills, {drill.name: drill.run() for drill in drills})
    *_, line = markdown([row])
    expected = "| model session lost | 2 | 4 | 0 | 3.0 / 5.0 s | 2 | 3.5 / 3.5 s | 0 | 0 | 0 |"
    assert line == expected


def test_a_drill_that_has_not_run_is_not_counted() -> None:
    assert rows_by_fault([ModelLost(1)], {}) == []


def test_calls_of_one_kind_are_counted_over_all_faults() -> None:
    [row] = rows_by_kind([result(lost=1), result(lost=1)])
    assert (row.name, row.calls, row.lost) == ("talking", 4, 2)


def test_a_result_with_a_loss_is_not_clean() -> None:
    assert not result().is_clean


def test_the_silences_of_losses_belong_to_interruptions() -> None:
    row = Row("reset", 1, 3, 0, 0, (2.0, 3.0, 9.0), 0, (), 0, 0, 0)
    *_, line = loss_markdown([row])
    assert line.startswith("| reset | 3 | 3 | 0 | 3.0 / 8.9 / 9.0 s |")
