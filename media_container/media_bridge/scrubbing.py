"""Removes keys, tokens, e-mail addresses and phone numbers from the model's error texts, before
they get into logs and records.

Servers quote what they refuse: a header with its key, the words of an instruction, the number that
a caller gave. The rest stays, because it says what is wrong.
"""

import re

MAX_LENGTH = 2000
"""Characters that are looked at. Logs and records show fewer."""

_ID = r"(?<![\w-])"
"""Where a word begins. Ids such as `resp_…` and UUIDs have their random part behind `_` or `-`."""

_RULES = (
    # https://user:password@host
    (re.compile(r"://[^/\s@]+@"), "://…@"),
    # JSON Web Tokens (RFC 7519)
    (re.compile(r"\beyJ[\w-]*(?:\.[\w-]*){0,4}"), "eyJ…"),
    # Keys of OpenAI and of servers that copy it, and keys of Telnyx
    (re.compile(rf"{_ID}([sepr]k[-_]|KEY(?=[\d*_-]))[\w*-]*(?:\.[\w*-]+)*"), r"\1…"),
    # A header or a parameter with its value
    (
        re.compile(
            r"\b((?:x-)?api[-_ ]?key|(?:proxy-)?authorization|(?:access[-_ ]?|auth[-_ ]?)?token"
            r"|(?:client[-_ ]?)?secret|password|signature|cookie)"
            r"([\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;&}]+",
            re.IGNORECASE,
        ),
        r"\1\2…",
    ),
    (
        re.compile(
            r"\b(bearer|basic)\s+(?!(?:or|and|is|was|in|header|tokens?|auth\w*)\b)[^\s\"',;]+",
            re.IGNORECASE,
        ),
        r"\1 …",
    ),
    # Anything else that looks random: letters and digits, 20 and more
    (re.compile(rf"{_ID}(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+/]{{20,}}=*(?![\w-])"), "…"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "…@…"),
)
# With a plus, with a trunk zero, in groups as in North America, or as digits alone.
_PHONE_NUMBER = re.compile(
    r"(?<![\w.])(?:\+\d(?:[ ().-]{0,2}\d){6,14}|0\d(?:[ /-]?\d){7,13}"
    r"|(?:1[-. ])?\(?\d{3}\)?[-. ]{1,2}\d{3}[-. ]\d{4}|\d{10,15})(?![\w])(?!\.\d)"
)


def scrub(text: str) -> str:
    """Return the text without secrets and without data that identifies the caller."""
    if not text:
        return text
    text = text[:MAX_LENGTH]
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _PHONE_NUMBER.sub(lambda found: "****" + found.group()[-4:], text)
