"""The generated performance page."""

from benchmarks.accuracy.quality_figures import Comparison, Heard
from benchmarks.control_plane.cold_start import ColdStart, ColdStarts, Heavy, Warm
from benchmarks.media import report
from benchmarks.media.instructions import Count, Counts
from benchmarks.media.report import growth_of, render
from benchmarks.media.results import Capacity, Results, Run
from phonebridge.settings import ModelAudio
from tests.support.benchmark_runs import case, run


def test_every_row_stands_beside_ours_under_the_same_load() -> None:
    page = render(Results(runs=[run("relay", cpu=0.5), run(cpu=0.25)]), None)
    ours, relay = (line for line in page.splitlines() if " | 40 | " in line)
    assert ours.startswith("| phonebridge | 40 | 0.250 / 0.250 | 1.00 |")
    assert relay.startswith("| relay | 40 | 0.500 / 0.500 | 2.00 |")


def test_what_a_peer_refuses_stands_in_its_row() -> None:
    refused = Run(case("livekit"), "", None, "livekit does not speak g711 to the model")
    page = render(Results(runs=[refused]), None)
    head = next(line for line in page.splitlines() if line.startswith("| target"))
    row = next(line for line in page.splitlines() if line.startswith("| livekit"))
    assert "livekit does not speak g711 to the model" in row
    assert row.count("|") == head.count("|")


def test_every_peer_is_told_with_what_it_lacks() -> None:
    described = render(Results(), None).split("\n**")[1:]
    peers = {"agents_sdk", "floor", "livekit", "pipecat", "relay"}
    assert {each.partition("**")[0] for each in described} == peers
    assert all("Lacks" in each for each in described)


def test_a_peer_is_told_with_its_version() -> None:
    assert "**pipecat** (pipecat-ai[openai,websocket] " in render(Results(), None)


def test_capacities_and_cold_starts_are_told() -> None:
    known = Results(
        capacities=[Capacity("phonebridge", ModelAudio.PCM24K, True, 310, "p99 of 22.0 ms")]
    )
    starts = ColdStarts(
        [ColdStart("telnyx_webhook", 120.4, 30.6, [Heavy("botocore", 29.7)])],
        [Warm("create a call", 2.5, 9.0)],
    )
    page = render(known, starts)
    assert "| phonebridge | pcm24k | yes | 310 | p99 of 22.0 ms |" in page
    assert "| telnyx_webhook | 120 | 31 | botocore 30 |" in page
    assert "| create a call | 2.50 | 9.00 | 400 |" in page


def test_tables_leave_out_the_sizes_that_the_charts_show() -> None:
    page = render(Results(runs=[run(calls=calls) for calls in (1, 10, 20, 40, 100, 200, 320)]))
    rows = [line for line in page.splitlines() if line.startswith("| phonebridge |")]
    assert [row.split(" | ")[1] for row in rows] == ["1", "40", "320"]


def test_a_chart_stands_with_its_text_in_the_section_of_its_audio() -> None:
    page = render(Results(runs=[run(calls=40)]))
    assert "![CPU by the number of calls, g711. Both axes" in page
    assert "(performance/delay-g711.svg)" in page
    assert "pcm24k.svg" not in page


def test_growth_with_the_calls_is_told_as_a_line() -> None:
    known = Results(runs=[run(calls=1), run(calls=10), run(calls=40)])
    assert growth_of(known, ModelAudio.G711).startswith(
        "0.00 % of a core plus 0.417 % per call (least squares)."
        " The largest deviation is 0.00 % of a core"
    )
    assert f"CPU of phonebridge: {growth_of(known, ModelAudio.G711)}" in render(known)


def test_what_grows_faster_than_the_calls_is_told_by_its_distance_from_the_line() -> None:
    known = Results(runs=[run(cpu=calls / 100, calls=calls) for calls in (1, 10, 100)])
    assert growth_of(known, ModelAudio.G711).endswith("of a core, at 10 calls.")


def test_two_sizes_are_too_few_for_a_line() -> None:
    known = Results(runs=[run(calls=20), run(calls=40)])
    assert "only 2 numbers of calls, too few" in growth_of(known, ModelAudio.G711)


def test_speech_is_told_where_it_was_measured() -> None:
    heard = Heard(4.5, 1.0)
    measured = Comparison("caller to model", "PCMU", "G.711", 0.0, 0.0, heard, heard)
    assert "## Speech" not in render(Results())
    assert "| caller to model | PCMU | G.711 | 4.50 / 4.50 |" in render(Results(), None, [measured])


def test_instructions_stand_with_what_they_were_counted_with() -> None:
    counts = Counts({"python": "3.11.7"}, (Count("relay", ModelAudio.G711, 174_663, 63_203),))
    page = render(Results(), counted=counts)
    assert "| relay | g711 | 174,663 | 63,203 |" in page
    assert "python 3.11.7." in page


def test_the_committed_page_is_made_of_the_committed_results() -> None:
    """Otherwise run `python benchmarks/media/report.py`."""
    assert report.PAGE.read_text() == report.stored_page()
