"""The sentences that the carrier speaks to a caller who has lost the agent. This module is pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class _Sentences:
    wait: str
    goodbye: str


_ENGLISH = _Sentences(
    "One moment, please. We are restoring the connection.",
    "We are sorry, the connection is lost. Please call again later. Goodbye.",
)
_BY_LANGUAGE: Mapping[str, _Sentences] = MappingProxyType(
    {
        "de": _Sentences(
            "Einen Moment bitte. Die Verbindung wird wiederhergestellt.",
            "Die Verbindung ist leider abgebrochen. Bitte rufen Sie später noch einmal an.",
        ),
        "es": _Sentences(
            "Un momento, por favor. Estamos restableciendo la conexión.",
            "Lo sentimos, se ha perdido la conexión. Por favor, llame más tarde.",
        ),
        "fr": _Sentences(
            "Un instant, s'il vous plaît. Nous rétablissons la connexion.",
            "Nous sommes désolés, la connexion est perdue. Veuillez rappeler plus tard.",
        ),
    }
)


def announcement(language: str | None, *, is_goodbye: bool) -> str:
    """Return the announcement in the language, a tag such as `de` or `de-CH`. Other languages get
    English."""
    name = (language or "").partition("-")[0].lower()
    sentences = _BY_LANGUAGE.get(name, _ENGLISH)
    return sentences.goodbye if is_goodbye else sentences.wait
