import pytest

from benchmarks.media import check
from benchmarks.media.instructions import Counts
from benchmarks.media.results import Results
from phonebridge.settings import ModelAudio
from tests.support.benchmark_runs import run


def test_the_ratio_is_that_of_the_cheapest_rounds() -> None:
    rounds = [("phonebridge", 0.3), ("phonebridge", 0.2), ("relay", 0.4), ("relay", 0.9)]
    known = Results(runs=[run(target, cpu, check.CALLS) for target, cpu in rounds])
    assert check.ratio(known, ModelAudio.G711) == pytest.approx(0.5)


def test_without_figures_there_is_no_verdict() -> None:
    with pytest.raises(SystemExit, match="no figures"):
        check.ratio(Results(), ModelAudio.G711)


def test_instructions_that_cannot_be_compared_are_told_and_fail_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not check.instructions_grew(Counts(), {})
    assert "instructions not checked: valgrind is not installed" in capsys.readouterr().out
