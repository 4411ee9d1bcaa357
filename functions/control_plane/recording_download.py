"""Downloads a recording from the carrier's link into a temporary file. Webhooks do not import this
module, which keeps their cold start short.

It has a module of its own, because webhooks do without it, and their cold start too.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from phonebridge.errors import UpstreamFailed
from phonebridge.http.public_client import PublicHttpsClient
from phonebridge.http.server_url import host_and_port

TIMEOUT_SECONDS = 20.0
"""A Lambda has 28 s, and the upload needs some of them."""


@contextmanager
def download_to_file(url: str, carrier_url: str, max_bytes: int) -> Iterator[IO[bytes]]:
    """Write the content of the link to a file, and yield the file at its start. Only the carrier's
    own address may be private or without TLS, because the operator chooses it. Raises
    `UpstreamFailed`."""
    with tempfile.TemporaryFile() as file:
        status = asyncio.run(_download(url, carrier_url, max_bytes, file))
        if status != 200:
            raise UpstreamFailed(f"The link answered {status}.", retryable=status >= 500)
        yield file


async def _download(url: str, carrier_url: str, max_bytes: int, file: IO[bytes]) -> int:
    client = PublicHttpsClient(frozenset({host_and_port(carrier_url)}))
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await client.download(url, max_bytes, file.write)
    except TimeoutError as error:
        problem = f"The download took more than {TIMEOUT_SECONDS:.0f} seconds."
        raise UpstreamFailed(problem, retryable=True) from error
