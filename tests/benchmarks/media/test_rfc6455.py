"""The load generator's WebSocket against itself over loopback, and against a library."""

import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.uri import parse_uri

from benchmarks.media.rfc6455 import UnexpectedFrame, WebSocket, frame
from tests.support.waiting import TIMEOUT_SECONDS


@dataclass
class Pair:
    client: WebSocket
    server: WebSocket


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as door, select.epoll() as poll:
        client = socket.create_connection(door.getsockname())
        server, _ = door.accept()
        ends = Pair(
            WebSocket(client, poll, is_client=True), WebSocket(server, poll, is_client=False)
        )
        yield ends
        ends.client.drop()
        ends.server.drop()


def receive(end: WebSocket) -> list[bytes]:
    readable, _, _ = select.select([end.fd], [], [], TIMEOUT_SECONDS)
    assert readable
    return list(end.receive())


def shake_hands(pair: Pair) -> None:
    pair.client.ask_to_upgrade("/media-bridge/call-1", {})
    assert receive(pair.server) == []
    assert receive(pair.client) == []


def test_both_ends_open_and_talk(pair: Pair) -> None:
    shake_hands(pair)
    assert pair.client.is_open
    assert pair.server.is_open
    pair.client.send(frame(b"hello", masked=True))
    pair.server.send(frame(b"good day", masked=False))
    assert receive(pair.server) == [b"hello"]
    assert receive(pair.client) == [b"good day"]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_messages_of_every_length_come_whole(pair: Pair, size: int) -> None:
    shake_hands(pair)
    message = bytes(index % 251 for index in range(size))
    pair.server.send(frame(message, masked=False))
    received: list[bytes] = []
    while not received:
        received = receive(pair.client)
        pair.server.on_writable()
    assert received == [message]


def test_what_the_peer_does_not_take_at_once_follows_in_order(pair: Pair) -> None:
    shake_hands(pair)
    messages = [bytes([number]) * 100_000 for number in range(10)]
    for message in messages:
        pair.server.send(frame(message, masked=False))
    received: list[bytes] = []
    while len(received) < len(messages):
        received += receive(pair.client)
        pair.server.on_writable()
    assert received == messages


def test_a_masked_frame_of_a_library_is_read(pair: Pair) -> None:
    shake_hands(pair)
    library = ClientProtocol(parse_uri("ws://127.0.0.1/"))
    library.state = library.state.OPEN
    library.send_text(b"masked at random")
    pair.client.send(b"".join(library.data_to_send()))
    assert receive(pair.server) == [b"masked at random"]


def test_a_ping_is_answered_and_a_close_ends_both(pair: Pair) -> None:
    shake_hands(pair)
    pair.server.send(frame(b"there?", masked=False, opcode=Opcode.PING))
    pair.server.close()
    assert receive(pair.client) == []
    assert pair.client.is_over
    assert receive(pair.server) == []
    assert pair.server.is_over


def test_a_refused_upgrade_says_why(pair: Pair) -> None:
    pair.client.ask_to_upgrade("/media-bridge/call-1", {})
    pair.server.send(b"HTTP/1.1 409 Conflict\r\n\r\nthe call has ended")
    with pytest.raises(UnexpectedFrame, match="the call has ended"):
        receive(pair.client)
