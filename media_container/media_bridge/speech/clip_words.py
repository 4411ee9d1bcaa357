"""The words of the clips (`clips.py`), and the instructions with which the model says them."""

from collections.abc import Mapping
from types import MappingProxyType

from media_bridge.commands import ClipKind
from phonebridge.call.config import CallConfig

DEFAULT_LANGUAGE = "en"

WORDS: Mapping[ClipKind, Mapping[str, str]] = MappingProxyType(
    {
        ClipKind.FILLER: {
            "en": "One moment, please.",
            "de": "Einen Moment, bitte.",
            "es": "Un momento, por favor.",
            "fr": "Un instant, s'il vous plaît.",
            "it": "Un momento, per favore.",
            "nl": "Een moment, alstublieft.",
            "pt": "Um momento, por favor.",
        },
        ClipKind.APOLOGY: {
            "en": "I am sorry, there is a technical problem. I cannot continue this call.",
            "de": "Es tut mir leid, es gibt ein technisches Problem. Ich kann das Gespräch nicht "
            "fortsetzen.",
            "es": "Lo siento, hay un problema técnico. No puedo continuar esta llamada.",
            "fr": "Toutes mes excuses, il y a un problème technique. Je ne peux pas poursuivre cet "
            "appel.",
            "it": "Mi dispiace, c'è un problema tecnico. Non posso continuare questa chiamata.",
            "nl": "Het spijt me, er is een technisch probleem. Ik kan het gesprek niet "
            "voortzetten.",
            "pt": "Lamento, há um problema técnico. Não posso continuar esta chamada.",
        },
    }
)


def apology_in(language: str | None) -> str:
    """Return the words of the apology, in English if we have none in that language."""
    words = WORDS[ClipKind.APOLOGY]
    tag = (language or DEFAULT_LANGUAGE).partition("-")[0].lower()
    return words.get(tag, words[DEFAULT_LANGUAGE])


def instructions_for(kind: ClipKind, config: CallConfig) -> str:
    """Return the instructions for each clip. The words of the fallback replace those of the
    apology."""
    if kind is ClipKind.APOLOGY and config.fallback and config.fallback.say:
        return f"Say exactly this, and nothing else: {config.fallback.say}"
    return instructions_of(kind, config.language)


def instructions_of(kind: ClipKind, language: str | None) -> str:
    """Return the instructions for words of our own. `language` is a tag such as de or pt-BR. The
    model translates into languages for which we have no words."""
    tag = language or DEFAULT_LANGUAGE
    words = WORDS[kind]
    if known := words.get(tag.partition("-")[0].lower()):
        return f'Say exactly this in the language "{tag}", and nothing else: {known}'
    return (
        f'Translate this into the language "{tag}". Say the translation, and nothing else: '
        f"{words[DEFAULT_LANGUAGE]}"
    )
