"""The sentences that the carrier speaks to a caller who has lost the agent. This module is pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from phonebridge.call.call import FAREWELL
from phonebridge.call.commands import InformCaller
from phonebridge.call.config import CallConfig, Fallback


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


def announcement(config: CallConfig, command: InformCaller) -> str:
    """Return the words for the caller. The words of the fallback stand in place of ours, once. A
    number that is still to be rung makes a goodbye too early."""
    sentences = _sentences_in(config.language)
    if command.is_retry:
        return sentences.wait
    fallback = config.fallback or Fallback()
    is_farewell, has_number = command.stream_number == FAREWELL, bool(fallback.transfer_to)
    is_final = is_farewell or (command.is_goodbye and not has_number)
    if fallback.say and is_final != has_number:
        return fallback.say
    return sentences.goodbye if is_final else sentences.wait


def _sentences_in(language: str | None) -> _Sentences:
    """Return the sentences in the language, a tag such as `de` or `de-CH`. Other languages get
    English."""
    return _BY_LANGUAGE.get((language or "").partition("-")[0].lower(), _ENGLISH)
