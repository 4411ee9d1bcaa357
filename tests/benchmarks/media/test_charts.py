"""The charts, and their alternative texts."""

from pathlib import Path

import pytest

from benchmarks.media import report, results
from benchmarks.media.charts import Chart, charts
from benchmarks.media.results import Results
from tests.support.benchmark_runs import run

FOLDER = Path(report.PAGE).parent / report.CHARTS


def test_only_what_was_measured_is_drawn() -> None:
    drawn = charts(Results(runs=[run(calls=1), run(calls=40)]))
    assert [chart.file_name for chart in drawn] == ["cpu-g711.svg", "delay-g711.svg"]


def test_a_chart_has_a_line_for_each_target_ours_first() -> None:
    known = Results(runs=[run("floor", 0.1), run(cpu=0.3, calls=10), run(cpu=0.24)])
    cpu, _ = charts(known)
    assert list(cpu.series) == ["phonebridge", "floor"]
    calls, shares = zip(*cpu.series["phonebridge"], strict=True)
    assert calls == (10, 40)
    assert shares == pytest.approx((5.0, 16.0))


def test_the_text_ranks_the_targets_and_tells_where_ours_goes() -> None:
    series = {"phonebridge": [(1, 2.13), (40, 11.3)], "relay": [(40, 9.0)], "floor": [(10, 1.0)]}
    assert Chart("cpu-g711", "CPU", "% of one core", series).alt_text == (
        "CPU. Both axes are logarithmic. At 40 calls, in % of one core: relay 9, phonebridge 11."
        " phonebridge goes from 2.1 with 1 to 11 with 40 calls."
    )


@pytest.mark.parametrize("chart", list(charts(results.load())), ids=lambda chart: chart.name)
def test_a_committed_chart_is_drawn_from_the_committed_results(chart: Chart) -> None:
    """Run `make bench-pages` if this fails."""
    assert chart.alt_text in (FOLDER / chart.file_name).read_text()
