"""A server of a third party with files, posts and faults: a carrier's store of recordings, or a
receiver of outcome webhooks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from tests.support.served import QuietHandler, served


@dataclass(frozen=True, slots=True)
class Posted:
    headers: dict[str, str]
    """Headers by their names in lower case."""
    body: bytes


@dataclass
class RecordedFiles:
    base: str
    content: bytes = b"RIFF of a call"
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next responses. After them, every response is 200."""
    asked: list[str] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.base.removeprefix("http://")


@contextmanager
def recorded_files() -> Iterator[RecordedFiles]:
    class Handler(QuietHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            files.posted.append(Posted(headers, body))
            self.do_GET()

        def do_GET(self) -> None:
            files.asked.append(self.path)
            status = files.statuses.pop(0) if files.statuses else 200
            self.send_response(status)
            if status == 302:
                self.send_header("location", f"{files.base}/elsewhere")
            content = files.content if status == 200 else b"no"
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    files = RecordedFiles(f"http://127.0.0.1:{server.server_port}")
    with served(server):
        yield files
