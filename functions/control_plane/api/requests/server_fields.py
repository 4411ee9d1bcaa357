"""Fields that name a user's server: its URL, and the headers to send."""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from control_plane.api.requests.fields import Pattern

# What the client itself writes (RFC 9110, sections 7 and 8; RFC 9112, section 6).
_OUR_HEADERS = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)


# RFC 3986: a host that DNS or IPv6 can name, then what paths and queries may hold unescaped.
_URL = (
    r"^[Hh][Tt][Tt][Pp][Ss]?://"
    r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"([/?]([A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})*)?$"
)


def _absolute(url: str) -> str:
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("must be ASCII without blanks; escape what is not (RFC 3986)")
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or a password: use headers")
    if parts.fragment:
        raise ValueError("must not have a fragment")
    if not re.fullmatch(_URL, url):
        raise ValueError("must hold nothing that RFC 3986 wants escaped, and a host as in DNS")
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_complete = parts.hostname and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, or a port that is no number up to 65535
        is_complete = False
    if not is_complete or parts.scheme not in ("https", "http"):
        raise ValueError("must be an https URL with a host, and a port only from 1 to 65535")
    return parts


def require_tls(url: str) -> str:
    if urlsplit(url).scheme != "https":
        raise ValueError("must be an https URL")
    return url


def _settable(name: str) -> str:
    if name.lower() in _OUR_HEADERS or name.lower().startswith("phonebridge-"):
        raise ValueError("is a header that Phonebridge sets itself")
    return name


Url = Annotated[
    str,
    Field(
        max_length=2048,
        examples=["https://crm.example/calls"],
        json_schema_extra={"pattern": _URL},
    ),
    AfterValidator(_absolute),
]
# RFC 9110, section 5.6.2 and 5.5: no line may be smuggled in.
HeaderName = Annotated[
    str,
    Pattern(
        r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
        "must be the name of an HTTP header: 1 to 64 letters, digits and hyphens",
    ),
    AfterValidator(_settable),
]
HeaderValue = Annotated[
    str,
    Pattern(
        r"^[!-~]([ -~]{0,2046}[!-~])?$",
        "must be 1 to 2048 of printable ASCII, with no blank at either end",
    ),
]
Headers = Annotated[
    dict[HeaderName, HeaderValue],
    Field(
        max_length=16,
        description=(
            "Additional headers of each request, such as `Authorization`. Responses mask "
            "the values with asterisks."
        ),
    ),
]
