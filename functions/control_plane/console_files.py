"""The files of the console, and the headers with which they are served.

A file is found by its exact name among those in the folder, so no path leads out of it.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from phonebridge.settings import websocket_of_base

FOLDER = Path(__file__).parents[1] / "console"
PREFIX = "/console/"
INDEX = "index.html"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".woff2": "font/woff2",
}
"""Files of other kinds are not served. `audioWorklet.addModule` refuses scripts of another kind."""
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")


@dataclass(frozen=True, slots=True)
class ConsoleFile:
    kind: str
    content: bytes

    @property
    def etag(self) -> str:
        return f'"{sha256(self.content).hexdigest()[:32]}"'


def find_file(path: str, folder: Path) -> ConsoleFile | None:
    name = INDEX if path == "/" else path.removeprefix(PREFIX)
    if path != "/" and not path.startswith(PREFIX):
        return None
    kind = _KINDS.get(PurePosixPath(name).suffix)
    for file in folder.rglob("*") if kind else ():
        if kind and file.is_file() and file.relative_to(folder).as_posix() == name:
            return ConsoleFile(kind, file.read_bytes())
    return None


def security_policy(media_origin: str) -> str:
    """A strict policy (CSP 3): our own files only, and sockets to the media container."""
    sources = {
        "default-src": "'none'",
        "script-src": "'self'",
        "worker-src": "'self'",
        "style-src": "'self'",
        "font-src": "'self'",
        "img-src": "'self' data:",
        "media-src": "'self' blob:",
        "connect-src": f"'self' {media_origin}".rstrip(),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())


def media_origin(environ: Mapping[str, str]) -> str:
    """Return the origin of the media sockets. It is empty before the deployment has an address."""
    url = urlsplit(environ.get("MEDIA_PUBLIC_URL", "").strip() or websocket_of_base(environ))
    is_known = url.scheme in ("ws", "wss") and _HOST.fullmatch(url.netloc)
    return f"{url.scheme}://{url.netloc}" if is_known else ""


def respond(
    path: str, if_none_match: str, environ: Mapping[str, str], folder: Path | None = None
) -> dict[str, Any]:
    """Return the response in API Gateway's format. Browsers revalidate each time, and get 304 for
    files that they have."""
    file = find_file(path, folder or FOLDER)
    if file is None:
        return _answer(HTTPStatus.NOT_FOUND, {"content-type": "text/plain"}, b"Not Found")
    headers = {
        "content-type": file.kind,
        "cache-control": "no-cache",
        "etag": file.etag,
        "content-security-policy": security_policy(media_origin(environ)),
        "permissions-policy": "microphone=(self), camera=(), geolocation=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    if file.etag in if_none_match:
        return _answer(HTTPStatus.NOT_MODIFIED, headers, b"")
    return _answer(HTTPStatus.OK, headers, file.content)


def _answer(status: HTTPStatus, headers: dict[str, str], content: bytes) -> dict[str, Any]:
    return {
        "statusCode": status.value,
        "headers": headers,
        "body": base64.b64encode(content).decode(),
        "isBase64Encoded": True,
    }
