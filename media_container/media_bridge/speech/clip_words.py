"""The words of the clips (`clips.py`), and the instructions with which the model says them."""

from collections.abc import Mapping
from types import MappingProxyType

from media_bridge.commands import ClipKind

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


def instructions_of(kind: ClipKind, language: str | None) -> str:
    """`language` is a tag such as de or pt-BR. Languages without words of ours are translated."""
    tag = language or DEFAULT_LANGUAGE
    words = WORDS[kind]
    if known := words.get(tag.partition("-")[0].lower()):
        return f'Say exactly this in the language "{tag}", and nothing else: {known}'
    return (
        f'Translate this into the language "{tag}". Say the translation, and nothing else: '
        f"{words[DEFAULT_LANGUAGE]}"
    )
