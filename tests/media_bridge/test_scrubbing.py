"""What the model's error texts lose before they are logged, and what they keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.scrubbing import MAX_LENGTH, scrub

KEY_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("Incorrect API key provided: sk-proj-abc*****wxyz.", "Incorrect API key provided: sk-…."),
        ("Invalid token: ek_0123456789abcdef", "Invalid token: …"),
        ("key KEY0123456789ABCDEF_abc is revoked", "key KEY… is revoked"),
        ("got Authorization: Bearer abc.def-123, wanted none", "got Authorization: …, wanted none"),
        ('{"authorization":"Bearer s3cr3t"}', '{"authorization":"…"}'),
        ("sent bearer opaquewithoutdigits", "sent bearer …"),
        ("api-key: 0f1e2d3c", "api-key: …"),
        ("wss://host.example/v1?token=abc&model=m", "wss://host.example/v1?token=…&model=m"),
        ("https://user:pass@host.example/x", "https://…@host.example/x"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln was refused", "eyJ… was refused"),
        ("unexpected 9f86d081884c7d659a2feaa0c55ad015 here", "unexpected … here"),
        ("cannot say 'write to jane.doe+x@mail.example.com'", "cannot say 'write to …@…'"),
        ("the caller is +1 (555) 010-0199.", "the caller is ****0199."),
        ("the caller is +15550100199", "the caller is ****0199"),
        ("call 555-555-0142 back", "call ****0142 back"),
        ("call (555) 555-0142 back", "call ****0142 back"),
        ("number 15555550142 is not allowed", "number ****0142 is not allowed"),
        ("number 030 90182 0142", "number ****0142"),
    ],
)
def test_what_nobody_may_read_is_gone(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rate_limit_exceeded: Rate limit reached for gpt-4o-realtime-preview-2024-12-17 on tokens "
        "per min (TPM): Limit 40000, Used 39500, Requested 1200. Please try again in 1.898s.",
        "The server had an error. Include the session ID sess_CbJ8aGkz0123456789abc with it",
        "Audio content of 1234ms is already shorter than 5678ms",
        "Item with item_id item_BjyYhY9FrZQ0123456789 not found",
        "Missing bearer or basic authentication in header",
        "Your session hit the maximum duration of 60 minutes at 2026-11-30T17:45:00Z.",
        "request 6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41 failed",
        "Unknown parameter: 'session.input_audio_transcription'.",
        "Invalid value 0.12345678901234: expected at most 1.0",
    ],
)
def test_what_says_what_is_wrong_stays(text: str) -> None:
    assert scrub(text) == text


@given(
    st.text(max_size=40),
    st.text(KEY_CHARACTERS, min_size=16, max_size=60),
    st.sampled_from(["sk-{}", "Bearer {}", "api_key={}", "authorization: {}", "ek_{}"]),
)
def test_no_key_survives_whatever_stands_before_it(before: str, key: str, form: str) -> None:
    assert form.format(key) not in scrub(f"{before} {form.format(key)} and more")


@given(st.text(max_size=200), st.integers(10**6, 10**13))
def test_no_international_number_survives(before: str, number: int) -> None:
    assert f"+{number}" not in scrub(f"{before} +{number} is busy")


@given(st.text())
def test_a_scrubbed_text_stays_as_it_is(text: str) -> None:
    once = scrub(text)
    assert scrub(once) == once


@pytest.mark.parametrize("part", ["a", "@", "sk-", "+1", "Bearer ", "eyJ.", "0 ", "://", "1-"])
def test_a_huge_text_is_cut_before_it_is_looked_at(part: str) -> None:
    assert len(scrub(part * 1_000_000)) <= 2 * MAX_LENGTH
