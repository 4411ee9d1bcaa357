"""SSRF-safe requests to a server that somebody else named: HTTPS, public addresses, no redirects,
and a limit on the response.

The name is resolved here, every address is checked, and the connection goes to one of these
addresses. A name that resolves differently a moment later gains nothing. A cancelled request closes
its socket, which no blocking client can do.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import h11

from phonebridge.errors import UpstreamFailed
from phonebridge.http.addresses import is_public
from phonebridge.http.connection import READ_BYTES, HttpConnection, HttpResponse
from phonebridge.http.server_url import host_and_port

CONNECT_SECONDS = 4.0
"""Timeout of a connection to one address, before the next one is tried."""
DOWNLOAD_READ_BYTES = 262_144

Resolve = Callable[[str, int], Awaitable[list[str]]]


_resolvers = ThreadPoolExecutor(8, "resolver")
"""Own threads for name resolution: a look-up cannot be cancelled, and the loop's threads must stay
free for writing calls."""


async def resolve(host: str, port: int) -> list[str]:
    look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_resolvers, look_up)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True, slots=True)
class PublicHttpsClient:
    allowed_hosts: frozenset[tuple[str, int]] = frozenset()
    """Hosts that the operator allows: any address, and plain HTTP too."""
    resolve: Resolve = resolve
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, max_bytes: int
    ) -> HttpResponse:
        """Send a POST request. There is no timeout here; the caller sets one. Raises
        `UpstreamFailed`."""
        request = _post_request(_parts(url), headers, body)
        async with self._open_line(url, READ_BYTES) as line:
            return await line.request(request, body, max_bytes)

    async def download(self, url: str, max_bytes: int, write: Callable[[bytes], object]) -> int:
        """Send a GET request and write the body of the response, in pieces. Return the status.
        There is no timeout here; the caller sets one. Raises `UpstreamFailed`."""
        request = _get_request(_parts(url))
        async with self._open_line(url, DOWNLOAD_READ_BYTES) as line:
            return (await line.request(request, b"", max_bytes, write)).status

    @asynccontextmanager
    async def _open_line(self, url: str, read_bytes: int) -> AsyncIterator[HttpConnection]:
        parts = _parts(url)
        host, port = host_and_port(url)
        is_allowed = (host, port) in self.allowed_hosts
        if parts.scheme != "https" and not is_allowed:
            raise UpstreamFailed("The URL is not https.")
        addresses = await self._addresses(host, port, is_allowed)
        tls = self.tls if parts.scheme == "https" else None
        reader, writer = await _connect(addresses, port, tls, host)
        try:
            yield HttpConnection(reader, writer, read_bytes)
        except (OSError, h11.RemoteProtocolError) as error:
            raise UpstreamFailed(
                "The server closed the connection before its response was complete.", retryable=True
            ) from error
        finally:
            writer.transport.abort()

    async def _addresses(self, host: str, port: int, is_allowed: bool) -> list[str]:
        try:
            addresses = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:  # `UnicodeError` if it is no valid host name
            raise UpstreamFailed("The server has no address.", retryable=True) from error
        if not is_allowed and not all(map(is_public, addresses)):
            raise UpstreamFailed("The server has an address that is not public.")
        return addresses


def _parts(url: str) -> SplitResult:
    try:
        host_and_port(url)
        return urlsplit(url)
    except (ValueError, KeyError) as error:
        raise UpstreamFailed("The URL is not https, or cannot be read.") from error


async def _connect(
    addresses: list[str], port: int, tls: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that accepts the connection."""
    name = host if tls else None
    for address in addresses:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)
        except ssl.SSLCertVerificationError as error:
            raise UpstreamFailed("The server has no valid certificate.") from error
        except OSError:  # includes `TimeoutError`
            continue
    raise UpstreamFailed("The server cannot be reached.", retryable=True)


def _get_request(parts: SplitResult) -> h11.Request:
    return _request(parts, "GET", {"Host": parts.netloc, "Accept": "*/*"} | _ALWAYS)


_ALWAYS = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "Phonebridge"}


def _post_request(parts: SplitResult, headers: Mapping[str, str], body: bytes) -> h11.Request:
    ours = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Accept": "application/json, text/*",
        **_ALWAYS,
    }
    known = {name.lower() for name in headers}
    missing = {name: value for name, value in ours.items() if name.lower() not in known}
    return _request(parts, "POST", {**headers, **missing})


def _request(parts: SplitResult, method: str, headers: Mapping[str, str]) -> h11.Request:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        return h11.Request(method=method, target=target, headers=list(headers.items()))
    except (h11.LocalProtocolError, UnicodeError) as error:
        raise UpstreamFailed(
            "The URL or a header has characters that HTTP cannot carry."
        ) from error
