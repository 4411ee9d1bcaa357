"""Requests to servers that users name, with real sockets and real TLS."""

import asyncio
import socket
import threading

import pytest

from phonebridge.errors import UpstreamFailed
from phonebridge.http import public_client
from phonebridge.http.connection import HttpResponse
from phonebridge.http.public_client import PublicHttpsClient, resolve
from tests.support.tool_servers import (
    NAME,
    Connection,
    answer,
    nothing,
    silence,
    tool_server,
    trusting,
)
from tests.support.waiting import TIMEOUT_SECONDS, until

OK = answer(200, b'{"status":"shipped"}')
MAX_BYTES = 1000


async def post(client: PublicHttpsClient, url: str, body: bytes = b"{}") -> HttpResponse:
    return await client.post(url, {"X-Team": "a"}, body, MAX_BYTES)


async def test_the_server_gets_one_whole_request_under_its_own_name() -> None:
    async with tool_server(OK) as server:
        got = await post(server.client(), server.url(), b'{"tool":"order"}')
    assert (got.status, got.body) == (200, b'{"status":"shipped"}')
    assert got.headers["content-type"] == "application/json"
    [received] = server.received
    assert (received.target, received.json) == ("/order?shop=7", {"tool": "order"})
    assert received.headers["host"] == f"{NAME}:{server.port}"
    assert received.headers["x-team"] == "a"
    assert received.headers["accept-encoding"] == "identity"
    assert server.server_names == [NAME]


async def test_a_certificate_of_another_name_is_none() -> None:
    async with tool_server(OK) as server:
        with pytest.raises(UpstreamFailed, match="no valid certificate"):
            await post(server.client("other.example.com"), server.url("other.example.com"))
        assert not server.received


async def test_a_certificate_that_nobody_vouches_for_is_none() -> None:
    async with tool_server(OK) as server:
        client = PublicHttpsClient(server.client().allowed_hosts, server.client().resolve)
        with pytest.raises(UpstreamFailed, match="no valid certificate"):
            await post(client, server.url())


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["1.1.1.1", "10.0.0.1"],
    ],
)
async def test_a_name_of_any_address_that_is_not_public_is_not_called(
    addresses: list[str],
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    async with tool_server(OK) as server:
        with pytest.raises(UpstreamFailed, match="not public") as raised:
            await post(PublicHttpsClient(resolve=resolve, tls=trusting()), server.url())
        assert not server.received
    assert not raised.value.retryable


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
async def test_no_spelling_of_loopback_is_called(host: str) -> None:
    async with tool_server(OK) as server:
        with pytest.raises(UpstreamFailed):
            await post(PublicHttpsClient(), f"https://{host}:{server.port}/")
        assert not server.received


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A server name that resolves differently a moment later (DNS rebinding) is not resolved
    again."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with tool_server(OK) as server:
        client = PublicHttpsClient(frozenset({(NAME, server.port)}), resolve, trusting())
        await post(client, server.url())
    assert asked == [NAME]


async def test_plain_http_is_for_the_operators_hosts_alone() -> None:
    async with tool_server(OK, tls=False) as server:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(UpstreamFailed, match="not https"):
            await post(PublicHttpsClient(), url)
        allowed = frozenset({("127.0.0.1", server.port)})
        assert (await post(PublicHttpsClient(allowed), url)).status == 200
    assert [each.target for each in server.received] == ["/"]


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    async with tool_server(answer(302, Location="https://169.254.169.254/")) as server:
        assert (await post(server.client(), server.url())).status == 302
        assert len(server.received) == 1


async def test_of_a_long_answer_no_more_is_read_than_is_allowed() -> None:
    sent = 0

    async def endless(connection: Connection) -> None:
        nonlocal sent
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
        for _ in range(500):
            await connection.write(bytes(10_000))
            sent += 10_000

    async with tool_server(endless) as server:
        with pytest.raises(UpstreamFailed, match="longer than 1000 bytes"):
            await post(server.client(), server.url())
        await server.lost.wait()
    assert sent < 5_000_000


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"x" * 90 + b"\r\n{\r\n",
        ),
    ],
    ids=["interim answers", "chunks that are mostly wrapping"],
)
async def test_wrapping_counts_too(head: bytes, piece: bytes) -> None:
    """A server that sends little data in very many pieces would cost all calls of the process."""

    async def endless(connection: Connection) -> None:
        await connection.write(head)
        while True:
            await connection.write(piece)

    async with tool_server(endless) as server:
        with pytest.raises(UpstreamFailed, match="longer than 1000 bytes"):
            await post(server.client(), server.url())
        await server.lost.wait()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"220 mail.example.com ESMTP\r\n\r\n",
        b"\x00\x01\x02",
        b"",
    ],
    ids=["cut short", "no number", "endless headers", "not HTTP", "binary", "nothing"],
)
async def test_what_is_no_answer_fails(reply: bytes) -> None:
    async def send(connection: Connection) -> None:
        await connection.write(reply)

    async with tool_server(send if reply else nothing) as server:
        with pytest.raises(UpstreamFailed, match="before its response was complete") as raised:
            await post(server.client(), server.url())
    assert raised.value.retryable


async def test_chunks_and_interim_answers_are_read() -> None:
    async def send(connection: Connection) -> None:
        await connection.write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
        await connection.write(b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")

    async with tool_server(send) as server:
        assert (await post(server.client(), server.url())).body == b"{}"


async def test_a_request_that_is_given_up_leaves_no_connection() -> None:
    async with tool_server(silence) as server:
        async with asyncio.TaskGroup() as tasks:
            request = tasks.create_task(post(server.client(), server.url()))
            await until(lambda: server.received)
            request.cancel()
        await server.lost.wait()


async def test_nobody_listens() -> None:
    client = PublicHttpsClient(frozenset({("127.0.0.1", 9)}))
    with pytest.raises(UpstreamFailed, match="cannot be reached") as raised:
        await post(client, "https://127.0.0.1:9/")
    assert raised.value.retryable


async def test_the_next_address_is_tried() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["::1", "127.0.0.1"]

    async with tool_server(OK) as server:
        client = PublicHttpsClient(frozenset({(NAME, server.port)}), resolve, trusting())
        assert (await post(client, server.url())).status == 200


async def test_an_address_that_takes_the_connection_and_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr(public_client, "CONNECT_SECONDS", 0.5)
    async with tool_server(OK) as server:
        client = PublicHttpsClient(frozenset({(NAME, server.port)}), resolve, trusting())
        with socket.create_server(("127.0.0.2", server.port)):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                assert (await post(client, server.url())).status == 200


async def test_a_name_without_an_address() -> None:
    with pytest.raises(UpstreamFailed, match="no address"):
        await post(PublicHttpsClient(), "https://tools.invalid/")


async def test_name_servers_that_do_not_answer_hold_up_nothing_but_tools(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()

    def wait_for_answers(*asked: object, **wanted: object) -> list[object]:
        answers.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait_for_answers)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(64):
            tasks.create_task(resolve("tools.example.com", 443))
        await asyncio.sleep(0)  # the requests begin
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                assert await asyncio.to_thread(lambda: "written") == "written"
        finally:
            answers.set()


async def test_names_are_resolved_by_the_system() -> None:
    assert "127.0.0.1" in await resolve("localhost", 80)
