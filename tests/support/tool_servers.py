"""HTTPS servers of tools on loopback, with a name and a certificate of their own."""

import asyncio
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h11
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from phonebridge.http.public_client import PublicHttpsClient

NAME = "tools.example.com"

Reply = Callable[["Connection"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Received:
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Connection:
    received: Received
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        await self._reader.read()
        raise ConnectionResetError


@dataclass
class ToolServer:
    port: int
    server_names: list[str] = field(default_factory=list)
    """Names that the clients requested in their TLS handshake."""
    received: list[Received] = field(default_factory=list)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has closed its connection."""

    def url(self, name: str = NAME, path: str = "/order?shop=7") -> str:
        return f"https://{name}:{self.port}{path}"

    def client(self, *names: str) -> PublicHttpsClient:
        """Return a client that treats this server as a host that the operator allowed."""
        hosts = frozenset((name, self.port) for name in (NAME, *names))
        return PublicHttpsClient(hosts, loopback, trusting())


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def answer(status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> Reply:
    lines = {"Content-Type": kind, "Content-Length": str(len(body))} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    written = f"HTTP/1.1 {status} So\r\n{head}\r\n".encode() + body

    async def reply(connection: Connection) -> None:
        await connection.write(written)

    return reply


async def nothing(connection: Connection) -> None:
    """Close the connection without a response."""


async def silence(connection: Connection) -> None:
    await connection.gone()


@asynccontextmanager
async def tool_server(*replies: Reply, tls: bool = True) -> AsyncIterator[ToolServer]:
    """Run a server that sends one reply per request, and repeats the last one."""
    server = ToolServer(0)
    context = _context(server.server_names) if tls else None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(await _request(reader), reader, writer)
        server.received.append(connection.received)
        try:
            await replies[min(len(server.received), len(replies)) - 1](connection)
        except ConnectionError:
            server.lost.set()
        writer.transport.abort() if server.lost.is_set() else writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server


async def _request(reader: asyncio.StreamReader) -> Received:
    http = h11.Connection(h11.SERVER)
    body = b""
    request: h11.Request | None = None
    while True:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(await reader.read(16_384))
            case h11.Request() as request:
                pass
            case h11.Data(data=data):
                body += data
            case _:
                break
    assert request
    headers = {name.decode(): value.decode() for name, value in request.headers}
    return Received(request.target.decode(), headers, body)


@cache
def _certificate() -> tuple[bytes, bytes]:
    """Return a certificate and its key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret, certificate.public_bytes(serialization.Encoding.PEM)


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=_certificate()[1].decode())


def _context(server_names: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "server.pem"
        file.write_bytes(b"".join(_certificate()))
        context.load_cert_chain(file)

    def note(socket: object, name: str | None, context: ssl.SSLContext) -> None:
        server_names.append(name or "")

    context.sni_callback = note
    return context
