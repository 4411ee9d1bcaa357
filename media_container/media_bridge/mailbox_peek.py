"""Whether a task's mailbox may hold anything: what a container asks all the time, and the answer is
nearly always no.

Asked on the event loop, it takes a part of the CPU of the same query through boto3, and no thread:
a thread that runs Python holds up the frames of every call. Whatever is not a plain no is boto3's
to find out, with its retries and its errors.
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import h11
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials

from phonebridge.aws import DynamoAccess

PATIENCE_SECONDS = 1.0
PAUSE_SECONDS = 30.0
"""After one that failed: there may be a proxy, say, through which only boto3 knows the way."""
READ_BYTES = 65_536


class _Counted(msgspec.Struct):
    """The answer to a query with `Select: COUNT` (DynamoDB, "Query")."""

    count: int = msgspec.field(name="Count")
    last_key: msgspec.Raw | None = msgspec.field(name="LastEvaluatedKey", default=None)


class MailboxPeek:
    """`query` is the body of a DynamoDB query that counts what waits; one peek at a time."""

    def __init__(self, access: DynamoAccess, query: Callable[[], bytes]) -> None:
        self._access = access
        self._query = query
        url = urlsplit(access.endpoint_url)
        self._netloc, self._host = url.netloc, url.hostname or ""
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._port = url.port or (443 if self._tls else 80)
        self._connection: _Connection | None = None
        self._pauses_until = 0.0

    async def finds_nothing(self) -> bool:
        """Whether the table says so. Nothing is raised: False when it cannot be asked."""
        now = asyncio.get_running_loop().time()
        credentials = self._access.credentials
        # A role's credentials are renewed now and then, which boto3 does in a thread.
        is_old = isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed()
        if credentials is None or is_old or now < self._pauses_until:
            return False
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                body = await self._ask(credentials.get_frozen_credentials())
            answer = msgspec.json.decode(body, type=_Counted)
        except (OSError, h11.ProtocolError, msgspec.DecodeError):
            self.close()
            self._pauses_until = now + PAUSE_SECONDS
            return False
        return not answer.count and answer.last_key is None

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    async def _ask(self, credentials: ReadOnlyCredentials) -> bytes:
        if self._connection is None or self._connection.is_over:
            self.close()
            connected = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
            self._connection = _Connection(*connected)
        body = self._query()
        return await self._connection.exchange(self._signed(body, credentials), body)

    def _signed(self, body: bytes, credentials: ReadOnlyCredentials) -> h11.Request:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.Query",
            "Content-Length": str(len(body)),
        }
        request = AWSRequest("POST", self._access.endpoint_url, headers=headers, data=body)
        SigV4Auth(credentials, "dynamodb", self._access.region).add_auth(request)
        signed = [("Host", self._netloc), *request.headers.items()]
        return h11.Request(method="POST", target="/", headers=signed)


class _Connection:
    """HTTP/1.1, one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @property
    def is_over(self) -> bool:
        """The server closed it, or will."""
        ready = self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE
        return not ready or self._reader.at_eof()

    async def exchange(self, request: h11.Request, body: bytes) -> bytes:
        """The body of the answer, whatever its status."""
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        received = bytearray()
        while True:
            match self._http.next_event():
                case h11.NEED_DATA:
                    self._http.receive_data(await self._reader.read(READ_BYTES))
                case h11.Data(data=data):
                    received += data
                case h11.EndOfMessage():
                    break
                case h11.ConnectionClosed():
                    raise h11.RemoteProtocolError("closed without an answer")
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return bytes(received)

    def close(self) -> None:
        self._writer.transport.abort()
