"""Host and port of the URL of a user's server."""

from urllib.parse import urlsplit

DEFAULT_PORTS = {"https": 443, "http": 80}


def host_and_port(url: str) -> tuple[str, int]:
    """Return host and port in the form of TOOL_HOSTS_ALLOWED."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
