"""Polls of a mailbox that is mostly empty, with boto3 as the fallback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from media_bridge.runtime import mailbox_poll
from media_bridge.runtime.mailbox_poll import MailboxPoll
from phonebridge.call.steering import Interrupt
from phonebridge.storage.dynamodb import DynamoAccess
from phonebridge.storage.mailbox import COMMAND_SECONDS, DynamoMailbox
from tests.support.clock import Clock
from tests.support.waiting import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS = Credentials("local", "local")
NOTHING = b'{"Count":0,"ScannedCount":0}'


@pytest.fixture(autouse=True)
def waits_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_poll, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)


@pytest.fixture
def access(client: "DynamoDBClient") -> DynamoAccess:
    return DynamoAccess(client.meta.endpoint_url, client.meta.region_name, KEYS)


async def poll_once(access: DynamoAccess, mailbox: DynamoMailbox) -> bool:
    peek = MailboxPoll(access, lambda: mailbox.count_query("task-1"))
    try:
        return await peek.is_empty()
    finally:
        peek.close()


async def test_a_poll_distinguishes_an_empty_mailbox_from_one_with_a_command(
    access: DynamoAccess, mailbox: DynamoMailbox
) -> None:
    assert await poll_once(access, mailbox)
    mailbox.post("task-1", "call-1", Interrupt())
    assert not await poll_once(access, mailbox)
    mailbox.acknowledge("task-1", *mailbox.collect("task-1"))
    assert await poll_once(access, mailbox)


async def test_what_waits_for_others_is_not_looked_for(
    access: DynamoAccess, mailbox: DynamoMailbox
) -> None:
    mailbox.post("task-2", "call-1", Interrupt())
    assert await poll_once(access, mailbox)


async def test_an_expired_command_is_not_counted_though_the_table_still_has_it(
    access: DynamoAccess, mailbox: DynamoMailbox, clock: Clock
) -> None:
    mailbox.post("task-1", "call-1", Interrupt())
    clock.pass_seconds(COMMAND_SECONDS)
    assert not await poll_once(access, mailbox)
    clock.pass_seconds(2 * COMMAND_SECONDS)
    assert await poll_once(access, mailbox)


async def test_a_table_that_does_not_answer_as_it_should_says_nothing(
    access: DynamoAccess, client: "DynamoDBClient", clock: Clock
) -> None:
    assert not await poll_once(access, DynamoMailbox("no-such-table", client, clock))


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[tuple[DynamoAccess, list[int]]]:
    """How to reach it, and how many connections it had so far."""
    connections: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        yield DynamoAccess(f"http://127.0.0.1:{port}", "us-east-1", KEYS), connections


async def read_request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))


def answer(body: bytes, *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        await read_request(reader)
        writer.write(answer(NOTHING))


async def close_after_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(answer(NOTHING, b"Connection: close"))
    await writer.drain()


@asynccontextmanager
async def peeking(
    access: DynamoAccess, query: Callable[[], bytes] = lambda: b"{}"
) -> AsyncIterator[MailboxPoll]:
    peek = MailboxPoll(access, query)
    try:
        yield peek
    finally:
        peek.close()


@pytest.mark.parametrize(("serve", "expected"), [(keep, 1), (close_after_one, 3)])
async def test_a_connection_is_kept_as_long_as_the_server_keeps_it(
    serve: Serve, expected: int
) -> None:
    async with server(serve) as (access, connections), peeking(access) as peek:
        for _ in range(3):
            assert await peek.is_empty()
        assert len(connections) == expected


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        answer(b"<html>"),
        answer(b'{"message":"slow down"}'),
        answer(b'{"Count":0,"LastEvaluatedKey":{"pk":{"S":"x"}}}'),
        answer(NOTHING)[:-3],
        answer(NOTHING + b" " * 10_000),
    ],
)
async def test_an_answer_that_is_not_a_plain_no_is_none(reply: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(reply)
        await writer.drain()

    async with server(serve) as (access, _), peeking(access) as peek:
        assert not await peek.is_empty()


async def test_a_server_that_is_silent_is_left_to_boto3_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mailbox_poll, "TIMEOUT_SECONDS", 0.01)

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(serve) as (access, connections), peeking(access) as peek:
        assert not await peek.is_empty()
        assert not await peek.is_empty()
        assert len(connections) == 1


async def test_a_table_that_was_out_of_reach_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mailbox_poll, "PAUSE_SECONDS", 0.0)
    replies = iter([b"", answer(NOTHING)])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(next(replies))
        await writer.drain()

    async with server(serve) as (access, _), peeking(access) as peek:
        assert not await peek.is_empty()
        assert await peek.is_empty()


async def test_a_request_is_signed_anew_for_other_credentials_and_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = Credentials("local", "local")
    signed: list[str] = []

    def query() -> bytes:
        signed.append(keys.access_key)
        return b"{}"

    async with (
        server(keep) as (access, _),
        peeking(replace(access, credentials=keys), query) as peek,
    ):
        for access_key in ("local", "local", "renewed", "renewed"):
            keys.access_key = access_key
            assert await peek.is_empty()
        assert signed == ["local", "renewed"]
        monkeypatch.setattr(mailbox_poll, "SIGNATURE_SECONDS", 0.0)
        keys.access_key = "local"
        assert await peek.is_empty()
        assert await peek.is_empty()
        assert signed == ["local", "renewed", "local", "local"]


def renewed_in(minutes: int) -> RefreshableCredentials:
    def fail() -> dict[str, str]:
        raise AssertionError("renewed on the event loop")

    expiry = datetime.now(UTC) + timedelta(minutes=minutes)
    return RefreshableCredentials("local", "local", "token", expiry, fail, "test")


async def test_credentials_are_renewed_elsewhere() -> None:
    async with server(keep) as (access, connections):
        async with peeking(replace(access, credentials=renewed_in(10))) as peek:
            assert not await peek.is_empty()
        assert not connections
        async with peeking(replace(access, credentials=renewed_in(60))) as peek:
            assert await peek.is_empty()


class LostCredentials(Credentials):
    def get_frozen_credentials(self) -> NoReturn:
        raise CredentialRetrievalError(provider="test", error_msg="lost")


async def test_credentials_that_cannot_be_had_are_told_of_by_boto3() -> None:
    access = DynamoAccess("http://127.0.0.1:9", "us-east-1", LostCredentials("", ""))
    async with peeking(access) as peek:
        assert not await peek.is_empty()


async def test_without_credentials_the_table_is_not_asked() -> None:
    async with server(keep) as (access, connections):
        async with peeking(replace(access, credentials=None)) as peek:
            assert not await peek.is_empty()
        assert not connections
