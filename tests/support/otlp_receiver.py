"""An OpenTelemetry collector on loopback that keeps the requests it receives."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests.support.served import QuietHandler, served

SPAN_KINDS = range(1, 6)


@dataclass
class ReceivedTraces:
    endpoint: str = ""
    status: int = 200
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    """Path, headers and body of each request."""

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for _, _, body in self.requests
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def services(self) -> set[str]:
        return {
            attribute["value"]["stringValue"]
            for _, _, body in self.requests
            for resource in body["resourceSpans"]
            for attribute in resource["resource"]["attributes"]
            if attribute["key"] == "service.name"
        }


@contextmanager
def otlp_receiver() -> Iterator[ReceivedTraces]:
    received = ReceivedTraces()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received.requests.append((self.path, headers, body))
            self.send_response(received.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.endpoint = f"http://127.0.0.1:{server.server_port}"
    with served(server):
        yield received
