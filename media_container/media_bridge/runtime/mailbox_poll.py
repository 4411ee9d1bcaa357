"""Polls a task's mailbox on the event loop. Almost every poll finds nothing.

Asked on the event loop, it takes a part of the CPU of the same query through boto3, and no thread:
a thread that runs Python holds up the frames of every call. Whatever is not a plain no is boto3's
to find out, with its retries and its errors.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError

from phonebridge.errors import UpstreamFailed
from phonebridge.http.connection import HttpConnection, HttpResponse
from phonebridge.storage.dynamodb import DynamoAccess

TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 30.0
"""Pause after a failed poll. Perhaps only boto3 knows the way, for example through a proxy."""
SIGNATURE_SECONDS = 30.0
"""The same signed request is sent again for this long, because signing costs as much as sending.
AWS accepts signatures up to five minutes old (IAM, "AWS Signature Version 4 for API requests")."""
MAX_RESPONSE_BYTES = 4096
"""Maximum size of a response, which holds one or two numbers."""

_FAILURES = (OSError, BotoCoreError, UpstreamFailed, h11.ProtocolError, msgspec.DecodeError)


class _Counted(msgspec.Struct):
    """The answer to a query with `Select: COUNT` (DynamoDB, "Query")."""

    count: int = msgspec.field(name="Count")
    last_key: msgspec.Raw | None = msgspec.field(name="LastEvaluatedKey", default=None)


@dataclass(frozen=True, slots=True)
class _SignedRequest:
    head: h11.Request
    body: bytes
    credentials: ReadOnlyCredentials
    until: float


class MailboxPoll:
    """Polls with one request at a time. `query` is the body of a DynamoDB query that counts waiting
    commands."""

    def __init__(self, access: DynamoAccess, query: Callable[[], bytes]) -> None:
        self._access = access
        self._query = query
        url = urlsplit(access.endpoint_url)
        self._netloc, self._host = url.netloc, url.hostname or ""
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._port = url.port or (443 if self._tls else 80)
        self._connection: HttpConnection | None = None
        self._request: _SignedRequest | None = None
        self._pauses_until = 0.0

    async def is_empty(self) -> bool:
        """Return True if the table says that the mailbox is empty. Return False if the table cannot
        be asked. Nothing is raised."""
        now = asyncio.get_running_loop().time()
        credentials = self._access.credentials
        # A role's credentials are renewed now and then, which boto3 does in a thread.
        is_old = isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed()
        if credentials is None or is_old or now < self._pauses_until:
            return False
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await self._send(self._sign(credentials.get_frozen_credentials(), now))
            counted = msgspec.json.decode(answer.body, type=_Counted)
        except _FAILURES:
            self.close()
            self._pauses_until = now + PAUSE_SECONDS
            return False
        return not counted.count and counted.last_key is None

    def renew(self) -> None:
        """Forget the signed request, because the query has changed."""
        self._request = None

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    async def _send(self, request: _SignedRequest) -> HttpResponse:
        if self._connection is None or self._connection.is_closed:
            self.close()
            connected = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
            self._connection = HttpConnection(*connected)
        return await self._connection.request(request.head, request.body, MAX_RESPONSE_BYTES)

    def _sign(self, credentials: ReadOnlyCredentials, now: float) -> _SignedRequest:
        known = self._request
        if known is None or known.credentials != credentials or known.until <= now:
            body = self._query()
            head = self._head(body, credentials)
            known = self._request = _SignedRequest(head, body, credentials, now + SIGNATURE_SECONDS)
        return known

    def _head(self, body: bytes, credentials: ReadOnlyCredentials) -> h11.Request:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.Query",
            "Content-Length": str(len(body)),
        }
        request = AWSRequest("POST", self._access.endpoint_url, headers=headers, data=body)
        SigV4Auth(credentials, "dynamodb", self._access.region).add_auth(request)
        signed = [("Host", self._netloc), *request.headers.items()]
        return h11.Request(method="POST", target="/", headers=signed)
