"""The cost of a call: its terms, and the tables of the page."""

from itertools import pairwise

import pytest

from benchmarks.control_plane import cost
from benchmarks.control_plane.idle_cost import LARGE
from benchmarks.media import results
from benchmarks.media.results import Capacity, Results
from phonebridge.settings import ModelAudio
from tests.support.benchmark_runs import run


def test_a_call_minute_is_the_sum_of_its_terms() -> None:
    of = cost.hour(22, ModelAudio.G711, LARGE)
    assert of.tasks == 1
    assert of.fargate == pytest.approx(0.0395)
    assert of.control_plane == pytest.approx(22 * 20 * 0.00006)
    terms = (of.fargate, of.balancer, of.addresses, of.egress, of.control_plane, of.standing)
    assert of.total == pytest.approx(sum(terms))
    assert of.per_call_minute == pytest.approx(of.total / 22 / 60)


def test_one_call_more_than_the_target_takes_another_task() -> None:
    tasks = [cost.hour(n, ModelAudio.G711, LARGE).tasks for n in (22, 23, 44, 45)]
    assert tasks == [1, 2, 2, 3]


def test_what_goes_to_the_model_makes_the_difference() -> None:
    pcm, g711 = (cost.hour(1_000, audio, LARGE) for audio in (ModelAudio.PCM24K, ModelAudio.G711))
    assert pcm.egress > 3 * g711.egress
    assert pcm.total - g711.total == pytest.approx(pcm.egress - g711.egress)


def test_many_calls_cost_less_each_than_few() -> None:
    each = [cost.hour(calls, ModelAudio.PCM24K, LARGE).per_call_minute for calls in cost.SIZES]
    # Each task reads the heartbeats of all, which shows with hundreds of tasks.
    assert all(more <= 1.01 * fewer for fewer, more in pairwise(each))
    assert each[-1] < 0.9 * each[0]


def test_more_calls_per_vcpu_cost_less_in_proportion() -> None:
    dear, cheap = (row(Results(runs=[run(cpu=cpu)]), FARGATE) for cpu in (0.6, 0.3))
    # A vCPU carries 100 calls, and 55 % of the slots are used: 0.0395 dollars an hour for 3,300
    # call-minutes.
    assert dear == ["not measured", "0.012"]
    assert cheap == ["not measured", "0.006"]


def test_a_core_that_was_late_before_it_was_full_sets_the_slots() -> None:
    known = Results(runs=[run(cpu=0.3)])
    known.capacities = [Capacity("phonebridge", ModelAudio.G711, False, 50, "p99 of 22.0 ms")]
    assert row(known, FARGATE)[1] == "0.024"
    assert row(known, "calls that one core carried, measured")[1] == "50"


def test_what_was_not_measured_is_not_made_up() -> None:
    assert row(Results(), FARGATE) == ["not measured", "not measured"]
    assert "not measured" not in row(Results(), "**AWS, as deployed**")


def test_what_telnyx_charges_for_a_bridged_call_is_listed() -> None:
    tables = cost.tables(Results())
    assert "* Telnyx: 2.00 for Call Control and 3.50 for media streaming." in tables


FARGATE = "Fargate, with the smaller of these as slots of a task"


def row(known: Results, name: str) -> list[str]:
    """Return the cells of a row."""
    found = next(line for line in cost.tables(known).splitlines() if line.startswith(f"| {name} |"))
    return found.strip("| ").split(" | ")[1:]


def test_the_page_shows_what_the_command_writes() -> None:
    """Run `make cost` if this fails."""
    page = cost.PAGE.read_text()
    assert cost.rewritten(page, results.load()) == page
