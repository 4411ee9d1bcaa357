"""Calculates the cost of a call from a dated table of list prices. This module is pure.

Sources: OpenAI, model pages and "Managing costs" of the Realtime guide. Prices are US dollars per
million tokens, or per minute of audio. Discounts, taxes and regional prices are not known here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from phonebridge.call.usage import Charge, ModelUsage, Usage

PRICES_AS_OF = "2026-11-23"
CURRENCY = "USD"
MILLION = 1_000_000
MINUTE_MS = 60_000
AUDIO_TOKEN_MS = 100
"""Duration of one token of audio input ("Managing costs": one token per tenth of a second)."""

NOT_YET = "What a call costs is counted at its end."

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""Suffix of a dated snapshot. A snapshot costs the same as its model."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a speech-to-speech model."""

    text: float
    cached_text: float
    text_out: float
    audio: float
    cached_audio: float
    audio_out: float


@dataclass(frozen=True, slots=True)
class TranscriptionPrices:
    """Prices of transcription, which is billed by tokens or by the minute."""

    audio: float = 0.0
    text_out: float = 0.0
    minute: float = 0.0


MODELS: Mapping[str, Prices] = MappingProxyType(
    {
        "gpt-realtime-2.1": Prices(4.0, 0.40, 24.0, 32.0, 0.40, 64.0),
        "gpt-realtime-2": Prices(4.0, 0.40, 24.0, 32.0, 0.40, 64.0),
        "gpt-realtime-1.5": Prices(4.0, 0.40, 16.0, 32.0, 0.40, 64.0),
        "gpt-realtime-2.1-mini": Prices(0.60, 0.06, 2.40, 10.0, 0.30, 20.0),
    }
)
TRANSCRIPTION_MODELS: Mapping[str, TranscriptionPrices] = MappingProxyType(
    {
        "gpt-transcribe": TranscriptionPrices(minute=0.0045),
        "gpt-live-transcribe": TranscriptionPrices(minute=0.017),
        "gpt-realtime-whisper": TranscriptionPrices(minute=0.017),
        "gpt-4o-transcribe": TranscriptionPrices(audio=2.50, text_out=10.0),
        "gpt-4o-mini-transcribe": TranscriptionPrices(audio=1.25, text_out=5.0),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a call. None means unknown. `total` is the sum of the known parts, or None if
    there are none."""

    model: float | None
    transcription: float | None
    carrier: float | None
    notes: tuple[str, ...]
    currency: str = CURRENCY
    prices_as_of: str = PRICES_AS_OF

    @property
    def total(self) -> float | None:
        known = [
            part for part in (self.model, self.transcription, self.carrier) if part is not None
        ]
        return _round(sum(known)) if known else None


def cost(
    usages: Sequence[ModelUsage],
    charges: Sequence[Charge],
    talk_ms: int | None,
    carrier_minute: float | None,
    *,
    has_carrier: bool = True,
) -> Cost:
    """Calculate the cost. `talk_ms` is None until the end. `carrier_minute` is the operator's price
    per minute, for a carrier that reports no charge."""
    if talk_ms is None:
        return Cost(model=None, transcription=None, carrier=None, notes=(NOT_YET,))
    notes: list[str] = []
    return Cost(
        model=_sum([_model(each, notes) for each in usages]),
        transcription=_sum([_transcription(each, notes) for each in usages]),
        carrier=_carrier(charges, talk_ms, carrier_minute, notes) if has_carrier else 0.0,
        notes=tuple(dict.fromkeys(notes)),
    )


def _model(used: ModelUsage, notes: list[str]) -> float | None:
    usage = used.usage
    if usage.uncounted:
        notes.append(f"{usage.uncounted} responses came without usage and are not in the cost.")
    if not usage.responses:
        return 0.0
    prices = MODELS.get(_SNAPSHOT.sub("", used.model))
    if prices is None:
        notes.append(f"The price of model {used.model} is not known.")
        return None
    if usage.cache_unknown:
        notes.append(
            f"{usage.cache_unknown} responses did not tell how much of their input was cached; "
            "it is billed as uncached, which is the upper bound."
        )
    return _by_tokens(usage, prices)


def _by_tokens(usage: Usage, prices: Prices) -> float:
    """Calculate the cost of tokens. Cached tokens are part of the input and have their own
    price."""
    return (
        (usage.input_text - usage.cached_text) * prices.text
        + usage.cached_text * prices.cached_text
        + (usage.input_audio - usage.cached_audio) * prices.audio
        + usage.cached_audio * prices.cached_audio
        + usage.output_text * prices.text_out
        + usage.output_audio * prices.audio_out
    ) / MILLION


def _transcription(used: ModelUsage, notes: list[str]) -> float | None:
    usage = used.usage
    if not (usage.transcribed_input or usage.transcribed_output or usage.transcribed_ms):
        return 0.0
    prices = TRANSCRIPTION_MODELS.get(_SNAPSHOT.sub("", used.transcription_model))
    if prices is None:
        notes.append(f"The price of transcription model {used.transcription_model} is not known.")
        return None
    played_ms = usage.transcribed_ms
    if prices.minute and usage.transcribed_input:
        notes.append(
            f"{used.transcription_model} has a price by the minute but counted tokens; "
            f"one is taken for {AUDIO_TOKEN_MS} ms."
        )
        played_ms += usage.transcribed_input * AUDIO_TOKEN_MS
    tokens = usage.transcribed_input * prices.audio + usage.transcribed_output * prices.text_out
    return tokens / MILLION + played_ms / MINUTE_MS * prices.minute


def _carrier(
    charges: Sequence[Charge], talk_ms: int, minute: float | None, notes: list[str]
) -> float | None:
    if charges and all(charge.currency == CURRENCY for charge in charges):
        return _round(sum(charge.micros for charge in charges) / MILLION)
    if charges:
        notes.append("The carrier charges in another currency; its part is not in the total.")
        return None
    if minute is None:
        notes.append("The carrier told no charge, and TELNYX_MINUTE_PRICE is not set.")
        return None
    notes.append("The carrier told no charge; its part is talk time at TELNYX_MINUTE_PRICE.")
    return _round(talk_ms / MINUTE_MS * minute)


def _sum(parts: Sequence[float | None]) -> float | None:
    """Add the parts of several streams. If one part is unknown, the sum is unknown too."""
    known = [part for part in parts if part is not None]
    return _round(sum(known)) if len(known) == len(parts) else None


def _round(amount: float) -> float:
    return round(amount, 6)
