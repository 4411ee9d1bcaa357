from hypothesis import given
from hypothesis import strategies as st

from benchmarks.media.figures import Delays, delays, percentile
from tests.support.benchmark_runs import NEVER, figures


def test_percentiles_are_samples_by_nearest_rank() -> None:
    samples = [float(number) for number in range(1000, 0, -1)]
    assert delays(samples) == Delays(1000, 500.0, 990.0, 999.0, 1000.0)


def test_without_samples_there_are_no_percentiles() -> None:
    assert delays([]) == NEVER


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_at_least_the_share_does_not_exceed_the_percentile(
    samples: list[float], share: float
) -> None:
    found = percentile(sorted(samples), share)
    assert sum(sample <= found for sample in samples) >= share * len(samples) - 1e-9


def test_a_late_generator_makes_a_run_invalid() -> None:
    assert figures().is_valid
    assert not figures(late=Delays(10, 0.1, 2.5, 3.0, 3.0)).is_valid
