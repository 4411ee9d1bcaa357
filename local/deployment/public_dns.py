"""Queries the public DNS over HTTPS, because the resolver of this machine may be a private one.

The service is Google's (Google Public DNS, "JSON API for DNS over HTTPS"); DNS_OVER_HTTPS_URL names
another one with the same answers.
"""

from collections.abc import Iterable

import httpx

RESOLVER = "https://dns.google/resolve"
TIMEOUT_SECONDS = 10.0
AMAZON_AUTHORITIES = {"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"}
"""Names in a CAA record that let ACM issue (AWS Certificate Manager, "CAA records")."""
_NUMBERS = {"NS": 2, "CAA": 257}


class DnsUnavailable(Exception):
    """The resolver could not be asked."""


class PublicDns:
    def __init__(self, resolver: str = "") -> None:
        self._resolver = resolver or RESOLVER

    def name_servers(self, zone: str) -> set[str]:
        return {_canonical(data) for data in self._ask(zone, "NS")}

    def authorities(self, name: str) -> set[str]:
        """Return the authorities that may issue a certificate for a name. The list is empty if all
        may. The nearest name with a CAA record counts (RFC 8659, 3)."""
        labels = name.split(".")
        for start in range(len(labels) - 1):
            if records := self._ask(".".join(labels[start:]), "CAA"):
                return _issuers(records)
        return set()

    def _ask(self, name: str, kind: str) -> list[str]:
        query = {"name": name, "type": kind}
        try:
            answer = httpx.get(self._resolver, params=query, timeout=TIMEOUT_SECONDS)
            found = answer.raise_for_status().json().get("Answer", [])
            return [each["data"] for each in found if each["type"] == _NUMBERS[kind]]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, AttributeError) as error:
            raise DnsUnavailable(f"{self._resolver} does not answer: {error}") from error


def _canonical(name: str) -> str:
    return name.rstrip(".").lower()


def _issuers(records: Iterable[str]) -> set[str]:
    """Return the issuers of CAA records such as `0 issue "amazon.com"`. An empty name forbids every
    issuer."""
    issuers = set()
    for record in records:
        _, tag, value = (record.split(maxsplit=2) + ["", ""])[:3]
        if tag.lower() == "issue":
            issuers.add(_canonical(value.strip('"').partition(";")[0].strip()))
    return issuers
