"""HTTP/1.1 over an open connection: one request after the other, and responses up to a limit.

h11 implements the protocol and does no I/O. The caller chooses what to connect to.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import h11

from phonebridge.errors import UpstreamFailed

READ_BYTES = 4096
"""Bytes per read. A small number, so that the event loop gets its turn in between."""
MAX_WRAPPING_BYTES = 32_768
"""Bytes around the body of a response: its head, interim responses (1xx), and chunk headers."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str]
    """Headers by their names in lower case."""
    body: bytes


class HttpConnection:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        read_bytes: int = READ_BYTES,
    ) -> None:
        self._read_bytes = read_bytes
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @property
    def is_closed(self) -> bool:
        """Whether the connection cannot take another request: the server closed it, will close it,
        or still owes a response."""
        states = {self._http.our_state, self._http.their_state}
        return states != {h11.IDLE} or self._reader.at_eof()

    async def request(
        self,
        request: h11.Request,
        body: bytes,
        max_bytes: int,
        write: Callable[[bytes], object] | None = None,
    ) -> HttpResponse:
        """Send a request and read its response. There is no timeout here; the caller sets one.

        With `write`, the body of the response goes there in pieces instead of into the result.

        Raises `UpstreamFailed` for a response that is too long, `h11.RemoteProtocolError` for an
        invalid one, and `OSError`.
        """
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()
        answer = await self._read_response(max_bytes, write)
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    async def _read_response(
        self, max_bytes: int, write: Callable[[bytes], object] | None
    ) -> HttpResponse:
        response: h11.Response | None = None
        received = bytearray()
        write = write or received.extend
        length = 0
        bytes_left = max_bytes + MAX_WRAPPING_BYTES
        while True:
            match self._http.next_event():
                case h11.NEED_DATA:
                    piece = await self._reader.read(self._read_bytes)
                    self._http.receive_data(piece)
                    bytes_left -= len(piece)
                    if bytes_left < 0:
                        raise _too_long(max_bytes)
                    await asyncio.sleep(0)  # buffered data is parsed without a read
                case h11.Response() as response:
                    pass
                case h11.Data(data=data):
                    length += len(data)
                    if length > max_bytes:
                        raise _too_long(max_bytes)
                    write(bytes(data))
                case h11.EndOfMessage() if response:
                    return _to_response(response, bytes(received))
                case h11.ConnectionClosed():
                    raise h11.RemoteProtocolError("closed without a response")
                case _:  # interim responses (1xx)
                    continue

    def close(self) -> None:
        self._writer.transport.abort()


def _to_response(response: h11.Response, body: bytes) -> HttpResponse:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
    return HttpResponse(response.status_code, headers, body)


def _too_long(max_bytes: int) -> UpstreamFailed:
    return UpstreamFailed(f"The response is longer than {max_bytes} bytes.")
