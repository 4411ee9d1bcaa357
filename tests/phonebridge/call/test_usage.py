"""Usage adds up."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from phonebridge.call.usage import Usage

usages = st.builds(Usage, *(st.integers(0, 1_000_000) for _ in fields(Usage)))


@given(usages, usages)
def test_usage_adds_up_count_by_count(one: Usage, other: Usage) -> None:
    total = one + other
    for count in fields(Usage):
        parts = getattr(one, count.name), getattr(other, count.name)
        assert getattr(total, count.name) == sum(parts)
