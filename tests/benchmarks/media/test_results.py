"""Which of many rounds are stored and used."""

from pathlib import Path

from benchmarks.media.figures import Delays
from benchmarks.media.results import Capacity, Results, Run, load, save
from phonebridge.settings import ModelAudio
from tests.support.benchmark_runs import case, figures, run


def test_results_survive_the_disk(tmp_path: Path) -> None:
    known = Results()
    known.replace_runs([run(cpu=0.2), run(cpu=0.3)])
    known.replace_capacity(Capacity("phonebridge", ModelAudio.G711, False, 320, "p99 of 21 ms"))
    save(known, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == known


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert load(tmp_path / "results.json") == Results()


def test_a_new_measurement_replaces_its_case_and_no_other() -> None:
    known = Results()
    known.replace_runs([run(cpu=0.9), run("relay", cpu=0.4)])
    known.replace_runs([run(cpu=0.2)])
    assert known.runs == [run("relay", cpu=0.4), run(cpu=0.2)]


def test_cpu_is_that_of_the_cheapest_round_and_of_the_median() -> None:
    known = Results(runs=[run(cpu=0.5), run(cpu=0.2), run(cpu=0.3)])
    best = known.best(case())
    assert best
    assert best.cpu_per_call_minute == 0.2
    assert known.median_cpu(case()) == 0.3


def test_rounds_of_a_late_generator_count_only_if_there_is_no_other() -> None:
    late = Run(case(), "", figures(cpu=0.1, late=Delays(10, 1.0, 9.0, 9.0, 9.0)))
    known = Results(runs=[late, run(cpu=0.2)])
    best = known.best(case())
    assert best
    assert best.cpu_per_call_minute == 0.2
    assert Results(runs=[late]).best(case()) == late.figures


def test_a_case_without_figures_says_why() -> None:
    refused = Run(case("livekit"), "", None, "livekit does not speak g711 to the model")
    known = Results(runs=[refused])
    assert known.best(case("livekit")) is None
    assert known.failure(case("livekit")) == "livekit does not speak g711 to the model"
