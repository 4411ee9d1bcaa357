"""What a call asks of the table while nothing fails."""

from benchmarks.drills.steady_costs import measure


def test_a_call_of_a_minute_stays_within_its_budget_of_units() -> None:
    costs = measure()
    assert 0 < costs.write_units_per_call <= 32
    assert 0 < costs.read_units_per_call <= 9.3
