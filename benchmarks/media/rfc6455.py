"""A WebSocket end that is cheap enough for a load generator: RFC 6455 over a non-blocking socket.

It is for loopback and known peers only: whole text messages, no extensions, no fragments.
"""

import base64
import hashlib
import select
import socket
import ssl
import struct
from collections.abc import Iterator

from websockets.speedups import apply_mask

READ_BYTES = 65_536
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
NO_MASK = bytes(4)
"""A client must mask (RFC 6455, 5.3). A mask of zeros costs this side nothing."""

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class UnexpectedFrame(Exception):
    """The peer sent a frame that this end does not support."""


def frame(payload: bytes, masked: bool, opcode: int = TEXT) -> bytes:
    size, mask_bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, mask_bit | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, mask_bit | 127, size)
    return head + NO_MASK + payload if masked else head + payload


def unmasked(data: bytes) -> bytes:
    """Unmask the payload of one complete client frame."""
    located = _locate(data, 0)
    assert located is not None, "a piece of a frame"
    body, end = located
    return apply_mask(data[body:end], data[body - 4 : body])


def upgrade_request(path: str, headers: dict[str, str]) -> bytes:
    fields = {
        "Host": "127.0.0.1",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    } | headers
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def acceptance(request: bytes) -> bytes:
    lines = (line.partition(b":") for line in request.split(b"\r\n"))
    headers = {name.lower(): value.strip() for name, _, value in lines}
    digest = hashlib.sha1(headers[b"sec-websocket-key"] + GUID).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


class WebSocket:
    """One end of a connection, registered for reading with `poll`."""

    def __init__(self, sock: socket.socket, poll: select.epoll, is_client: bool) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._poll = poll
        self._is_client = is_client
        self._unread = b""
        self._unsent = bytearray()
        self.is_open = False
        self.is_over = False
        poll.register(sock, select.EPOLLIN)

    @property
    def fd(self) -> int:
        return self._socket.fileno()

    def ask_to_upgrade(self, path: str, headers: dict[str, str]) -> None:
        self.send(upgrade_request(path, headers))

    def send(self, data: bytes) -> None:
        """Send a complete frame. What the peer does not take at once is sent later."""
        if self._unsent:
            self._unsent += data
            return
        sent = self._send_some(data)
        if sent < len(data):
            self._unsent += data[sent:]
            self._poll.modify(self._socket, select.EPOLLIN | select.EPOLLOUT)

    def on_writable(self) -> None:
        del self._unsent[: self._send_some(bytes(self._unsent))]
        if not self._unsent:
            self._poll.modify(self._socket, select.EPOLLIN)

    def receive(self) -> Iterator[bytes]:
        """Yield the complete text messages that have arrived."""
        data = self._unread + self._read()
        start = 0
        if not self.is_open:
            start = self._finish_handshake(data)
        while self.is_open:
            located = _locate(data, start)
            if located is None:
                break
            body, end = located
            payload = data[body:end]
            if data[start + 1] & 0x80:
                payload = apply_mask(payload, data[body - 4 : body])
            if data[start] == 0x80 | TEXT:
                yield payload
            else:
                self._on_control(data[start], payload)
            start = end
        self._unread = data[start:]

    def close(self) -> None:
        if not self.is_over:
            self.send(frame(struct.pack("!H", 1000), self._is_client, CLOSE))

    def drop(self) -> None:
        self.is_over = True
        self._poll.unregister(self._socket)
        self._socket.close()

    def _send_some(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except _NOT_NOW:
            return 0
        except OSError:
            self.is_over = True
            return len(data)

    def _read(self) -> bytes:
        parts = []
        try:
            # A TLS socket returns one record at a time, and epoll does not see buffered records.
            while data := self._socket.recv(READ_BYTES):
                parts.append(data)
                if len(data) < READ_BYTES and not isinstance(self._socket, ssl.SSLSocket):
                    return data if len(parts) == 1 else b"".join(parts)
            self.is_over = True
        except _NOT_NOW:
            pass
        except OSError:
            self.is_over = True
        return b"".join(parts)

    def _finish_handshake(self, data: bytes) -> int:
        """Return the offset of the first frame, or 0 while the handshake is incomplete."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return 0
        head = data[:end]
        if self._is_client and not head.startswith(b"HTTP/1.1 101"):
            raise UnexpectedFrame(f"the media socket was refused: {data.decode(errors='replace')}")
        if not self._is_client:
            self.send(acceptance(head))
        self.is_open = True
        return end

    def _on_control(self, first_byte: int, payload: bytes) -> None:
        match first_byte:
            case 0x89:
                self.send(frame(payload, self._is_client, PONG))
            case 0x88:
                self.close()
                self.is_over = True
            case 0x8A:
                pass
            case _:
                raise UnexpectedFrame(f"first byte {first_byte:#x}")


def _locate(data: bytes, start: int) -> tuple[int, int] | None:
    """Return start and end of the payload of the frame at `start`, or None if it is incomplete."""
    if len(data) < start + 2:
        return None
    size, body = data[start + 1] & 0x7F, start + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        size, body = int.from_bytes(data[body : body + width], "big"), body + width
    body += 4 if data[start + 1] & 0x80 else 0
    return (body, body + size) if len(data) >= body + size else None
