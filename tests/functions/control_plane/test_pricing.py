"""What a call cost, worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.pricing import MODELS, NOT_YET, PRICES_AS_OF, cost
from phonebridge.call.usage import Charge, ModelUsage, Usage

MINI = "gpt-realtime-2.1-mini"
COUNTED = Usage(
    input_text=1_000,
    input_audio=2_000,
    cached_text=400,
    cached_audio=1_500,
    output_text=100,
    output_audio=3_000,
    responses=3,
)


def usage_of(
    usage: Usage, model: str = MINI, transcription: str = "gpt-transcribe", stream: int = 1
) -> ModelUsage:
    return ModelUsage(stream, model, transcription, usage)


def test_cached_tokens_are_part_of_the_input_at_their_own_price() -> None:
    told = cost([usage_of(COUNTED)], [], 0, 0.0)
    by_hand = (600 * 0.60 + 400 * 0.06 + 500 * 10 + 1_500 * 0.30 + 100 * 2.40 + 3_000 * 20) / 1e6
    assert told.model == round(by_hand, 6)
    assert (told.currency, told.prices_as_of) == ("USD", PRICES_AS_OF)


def test_without_cached_detail_all_input_is_billed_and_the_answer_says_so() -> None:
    unknown = replace(COUNTED, cached_text=0, cached_audio=0, cache_unknown=2)
    told = cost([usage_of(unknown)], [], 0, 0.0)
    by_hand = (1_000 * 0.60 + 2_000 * 10 + 100 * 2.40 + 3_000 * 20) / 1e6
    assert told.model == round(by_hand, 6)
    assert any("2 responses did not tell how much" in note for note in told.notes)


def test_of_an_unknown_model_the_cost_is_not_told() -> None:
    told = cost([usage_of(COUNTED, model="my-own-model")], [], 60_000, 0.007)
    assert told.model is None
    assert told.total == told.carrier == 0.007
    assert "The price of model my-own-model is not known." in told.notes


def test_a_snapshot_costs_what_its_model_does() -> None:
    dated = usage_of(COUNTED, model=f"{MINI}-2026-07-06")
    assert cost([dated], [], 0, 0.0) == cost([usage_of(COUNTED)], [], 0, 0.0)


def test_while_the_call_lasts_nothing_is_told() -> None:
    told = cost([usage_of(COUNTED)], [], None, 0.007)
    assert (told.model, told.carrier, told.total) == (None, None, None)
    assert told.notes == (NOT_YET,)


def test_responses_without_a_count_are_mentioned() -> None:
    told = cost([usage_of(Usage(responses=2, uncounted=1))], [], 0, 0.0)
    assert told.model == 0
    assert "1 responses came without usage and are not in the cost." in told.notes


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("gpt-transcribe", Usage(transcribed_ms=120_000), 0.009),
        ("gpt-realtime-whisper", Usage(transcribed_ms=60_000), 0.017),
        ("gpt-4o-transcribe", Usage(transcribed_input=10_000, transcribed_output=1_000), 0.035),
        ("gpt-4o-mini-transcribe", Usage(transcribed_input=10_000), 0.0125),
        ("gpt-4o-mini-transcribe-2025-12-15", Usage(transcribed_input=10_000), 0.0125),
        ("whisper-99", Usage(transcribed_ms=60_000), None),
        ("whisper-99", Usage(), 0.0),
    ],
)
def test_transcription_is_billed_by_tokens_or_by_the_minute(
    model: str, usage: Usage, dollars: float | None
) -> None:
    assert cost([usage_of(usage, transcription=model)], [], 0, 0.0).transcription == dollars


def test_tokens_of_a_model_that_is_billed_by_the_minute_become_time() -> None:
    told = cost([usage_of(Usage(transcribed_input=600))], [], 0, 0.0)
    assert told.transcription == 0.0045
    assert any("counted tokens" in note for note in told.notes)


def test_the_carriers_charges_win_over_the_operators_price() -> None:
    charges = [Charge("leg-1", 14_000, "USD"), Charge("leg-2", 1_000, "USD")]
    assert cost([], charges, 60_000, 9.0).carrier == 0.015
    assert cost([], [Charge("leg-1", 14_000, "EUR")], 60_000, 9.0).carrier is None


def test_without_charge_and_price_the_carriers_part_is_not_told() -> None:
    told = cost([], [], 60_000, None)
    assert told.carrier is None
    assert told.total == 0
    assert "The carrier told no charge, and TELNYX_MINUTE_PRICE is not set." in told.notes


def test_streams_add_up() -> None:
    one, two = usage_of(COUNTED), usage_of(COUNTED, model="gpt-realtime-2.1", stream=2)
    parts = [cost([each], [], 0, 0.0).model or 0 for each in (one, two)]
    assert cost([one, two], [], 0, 0.0).model == pytest.approx(sum(parts))


counts = st.integers(0, 1_000_000)


@given(st.sampled_from(sorted(MODELS)), counts, counts, counts, counts)
def test_more_of_the_input_cached_never_costs_more(
    model: str, text: int, audio: int, cached_text: int, cached_audio: int
) -> None:
    fresh = Usage(input_text=text, input_audio=audio, responses=1)
    some = replace(fresh, cached_text=min(text, cached_text), cached_audio=min(audio, cached_audio))
    dear, cheap = (cost([usage_of(each, model)], [], 0, 0.0).model or 0 for each in (fresh, some))
    assert 0 <= cheap <= dear
