"""The part of Telnyx's Call Control API that handlers use. It records commands and sends the
responses that a test has prepared."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests.support.served import QuietHandler, served

LEG = {"call_control_id": "v3:leg-1", "call_leg_id": "leg-1", "call_session_id": "session-1"}


@dataclass
class RecordedTelnyx:
    base: str = ""
    commands: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Responses to the next commands. After them, every command succeeds."""
    legs: dict[str, Any] = field(default_factory=lambda: {"is_alive": True})
    """The state that is reported of every leg."""
    questions: int = 0
    is_answering: threading.Event = field(default_factory=threading.Event)
    """While this is not set, commands wait for their responses."""
    answered: int = 0

    @property
    def names(self) -> list[str]:
        """Return the names of the commands. `calls` is the dial."""
        return [path.rsplit("/", 1)[-1] for path, _ in self.commands]

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.commands.append((path, body))
        if self.refusals:
            return self.refusals.pop(0)
        return 200, {"data": LEG if path.endswith("/calls") else {"result": "ok"}}


@contextmanager
def recorded_telnyx() -> Iterator[RecordedTelnyx]:
    telnyx = RecordedTelnyx()
    telnyx.is_answering.set()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            telnyx.questions += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": telnyx.legs}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, answer = telnyx.answer(self.path, body)
            telnyx.is_answering.wait()
            telnyx.answered += 1
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    telnyx.base = f"http://127.0.0.1:{server.server_port}/v2"
    with served(server):
        try:
            yield telnyx
        finally:
            telnyx.is_answering.set()
