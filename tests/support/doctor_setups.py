"""Set-ups for the doctor. Everything is fine until a test changes something."""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from http.server import ThreadingHTTPServer
from typing import Any

from doctor import run_checks
from doctor_checks.config import DoctorConfig
from doctor_checks.findings import Finding
from simulators.openai.server import OpenAISimulator
from simulators.scenario import SHORT
from simulators.telnyx.account import CONNECTION_ID
from simulators.telnyx.behaviour import Person
from simulators.telnyx.server import TelnyxSimulator
from tests.support.served import QuietHandler, served

NOBODY = "127.0.0.1:9"
NUMBER = "+15550100"


def error(code: str, message: str = "") -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


@dataclass
class House:
    """The servers at the public URLs: status and body of each."""

    port: int = 0
    webhooks: tuple[int, bytes] = (401, error("invalid_signature"))
    media: tuple[int, bytes] = (401, error("refused"))
    certificate: str | None = None
    is_silent: bool = False
    """It takes every request and answers none."""
    asked: threading.Event = field(default_factory=threading.Event)
    """Set by the first request."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that does not trust the certificate breaks the connection off."""


@contextmanager
def opened(house: House) -> Iterator[None]:
    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(*house.webhooks)

        def do_GET(self) -> None:
            self._answer(*house.media)

        def _answer(self, status: int, body: bytes) -> None:
            house.asked.set()
            if house.is_silent:
                self.rfile.read()  # until the client gives up and closes
                return
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = _Server(("127.0.0.1", 0), Handler)
    house.port = server.server_port
    if house.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(house.certificate)
        # The thread of each connection makes the handshake. In the thread that accepts them, one
        # client that sends nothing would stop the server, and the test would wait for its end.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    with served(server):
        yield


@dataclass
class Patient:
    """A set-up in which everything is fine until a test changes something."""

    subject: DoctorConfig
    telnyx: TelnyxSimulator
    model: OpenAISimulator
    house: House
    now: float = field(default_factory=time.time)

    def suffer(self, **settings: str) -> None:
        self.subject = replace(self.subject, **settings)

    async def findings(self) -> list[Finding]:
        return await asyncio.to_thread(lambda: list(run_checks(self.subject, self.now)))


@asynccontextmanager
async def patient(house: House) -> AsyncIterator[Patient]:
    async with (
        OpenAISimulator(scenario=SHORT) as model,
        TelnyxSimulator(person=Person(SHORT)) as telnyx,
    ):
        with opened(house):
            scheme = ("https", "wss") if house.certificate else ("http", "ws")
            host = f"localhost:{house.port}"
            environ = {
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_REALTIME_URL": model.url,
                "TELNYX_API_BASE": telnyx.api_base,
                "TELNYX_API_KEY": "KEY-test",
                "TELNYX_PUBLIC_KEY": telnyx.public_key,
                "TELNYX_CONNECTION_ID": CONNECTION_ID,
                "TELNYX_FROM_NUMBER": NUMBER,
                "BASE_PUBLIC_URL": f"{scheme[0]}://{host}",
                "MEDIA_PUBLIC_URL": f"{scheme[1]}://{host}",
            }
            subject = DoctorConfig.from_env(environ)
            telnyx.account.webhook_event_url = subject.webhook_url
            yield Patient(subject, telnyx, model, house)
