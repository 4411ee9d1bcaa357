"""Detects URLs that lead only to this machine or its network, where Telnyx cannot reach them."""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from phonebridge.http.addresses import is_public

LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
"""RFC 6761, RFC 6762, RFC 8375, and what networks use in practice."""


def is_local(url: str) -> bool:
    """A name that is not resolved is not called local, because the check that connects reports
    it."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if _is_address(host):
        return not is_public(host)
    if not host or "." not in host or host.endswith(LOCAL_SUFFIXES):
        return bool(host)
    return _is_this_machine(host)


def _is_this_machine(name: str) -> bool:
    """Only loopback counts: inside a network, a public name may have a private address."""
    try:
        found = socket.getaddrinfo(name, None)
    except OSError:
        return False
    addresses = {str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found}
    return all(ip_address(each).is_loopback for each in addresses)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
