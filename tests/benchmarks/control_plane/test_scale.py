"""The page about many calls."""

from benchmarks.control_plane import cold_start, count_requests, scale
from benchmarks.control_plane.cold_start import ColdStarts, Warm
from benchmarks.control_plane.limits import LOADS, limits
from benchmarks.media import results
from benchmarks.media.results import Results
from tests.support.benchmark_runs import ONE_CALL


def test_the_page_names_every_limit_and_every_size() -> None:
    page = scale.render(ONE_CALL, Results(), None)
    for load in LOADS:
        assert f" {load.name} |" in page
        for limit in limits(ONE_CALL, load):
            assert f"| {limit.name} (" in page


def test_the_page_tells_the_work_of_a_burst_in_cores() -> None:
    starts = ColdStarts([], [Warm("create a call", 8.0, 60.0), Warm("webhook call.hangup", 4.0, 9)])
    assert "the CPU time of 2.4 cores" in scale.render(ONE_CALL, Results(), starts)


def test_the_page_says_what_is_passed_when_quotas_are_raised() -> None:
    page = scale.render(ONE_CALL, Results(), None)
    raised = "calls with all quotas raised:"
    assert f"* 10,000 {raised} the nearest limit is partition `FLEET`: reads" in page
    assert f"* 100,000 {raised} exceeded are partition `FLEET`: reads" in page


def test_the_committed_page_is_made_of_the_committed_results() -> None:
    """Otherwise run `python benchmarks/control_plane/scale.py`."""
    page = scale.render(count_requests.load(), results.load(), cold_start.load())
    assert scale.PAGE.read_text() == page
