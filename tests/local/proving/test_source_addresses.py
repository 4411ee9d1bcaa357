"""Where Telnyx's requests come from, as a tunnel or the socket tells."""

from ipaddress import ip_address

import httpx
import pytest
from starlette.requests import HTTPConnection

from proving.line import CarrierApi, Line, Numbers, Waits
from proving.line_questions import find_source_addresses
from proving.receiver import Receiver, source_of


def connection(peer: str, forwarded: str = "") -> HTTPConnection:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return HTTPConnection({"type": "http", "client": (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.76.120.130", "", "192.76.120.130"),
        ("127.0.0.1", "203.0.113.7, 192.76.120.130", "192.76.120.130"),
        ("127.0.0.1", "", "127.0.0.1"),
    ],
)
def test_the_tunnel_names_the_address_it_has_seen(peer: str, forwarded: str, found: str) -> None:
    assert source_of(connection(peer, forwarded)) == {ip_address(found)}


def test_what_is_no_address_is_left_out() -> None:
    assert source_of(connection("127.0.0.1", "unknown")) == set()


@pytest.mark.parametrize(
    ("sources", "answer", "detail"),
    [
        (["192.76.120.130", "185.246.41.9"], "published", "185.246.41.9, 192.76.120.130"),
        (["192.76.120.130", "8.8.8.8"], "others", "8.8.8.8"),
        (["127.0.0.1", "10.0.0.4"], "hidden", ""),
    ],
)
async def test_addresses_are_compared_with_those_that_are_published(
    sources: list[str], answer: str, detail: str
) -> None:
    receiver = Receiver("", lambda: 0, "secret")
    receiver.sources |= set(map(ip_address, sources))
    async with httpx.AsyncClient() as http:
        line = Line(CarrierApi(http), receiver, Numbers("", "", "", "", ""), Waits())
        found = await find_source_addresses(line)
    assert (found.answer, found.detail) == (answer, detail)
