"""How long the server wants us to wait."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.openai.retry_delay import retry_delay


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for gpt-realtime. Please try again in 1.898s. Visit ...", 1.898),
        ("Rate limit reached: Limit 200, Used 200. Please try again in 20ms.", 0.02),
        ("Please try again in 6m0s.", 360.0),
        ("please try again in 1h2m3.5s", 3723.5),
        ("Try again in 8 seconds", 8.0),
        ("Please retry after 2 seconds.", 2.0),
        ("Retry in 1 minute, please", 60.0),
        ("Please try again in 500 milliseconds", 0.5),
        ("Please try again later.", None),
        ("Limit 20s reached", None),
        ("Please try again in 3 steps", None),
        ("", None),
        (None, None),
    ],
)
def test_a_delay_in_words(message: str | None, seconds: float | None) -> None:
    assert retry_delay(message) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("seconds", "milliseconds", "delay"),
    [
        (3, None, 3.0),
        (1.5, None, 1.5),
        ("2", None, 2.0),
        (None, 250, 0.25),
        (None, "750", 0.75),
        (0, 250, 0.0),
        (-1, None, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, None),
        (True, None, None),
        ({}, [], None),
        (float("nan"), float("inf"), None),
        (10**400, None, None),
    ],
)
def test_a_delay_in_a_field(seconds: Any, milliseconds: Any, delay: float | None) -> None:
    assert retry_delay(None, seconds, milliseconds) == delay


def test_a_field_counts_before_the_message() -> None:
    assert retry_delay("Please try again in 20s.", 1) == 1.0


@given(st.text())
def test_no_message_does_harm(message: str) -> None:
    assert (retry_delay(f"try again in {message}") or 0.0) >= 0.0
