"""Measures the Lambdas: the time until the first request, and the cost of a request.

Cold start is import and init in a bare process, the median of seven. Warm requests run the handlers
in this process, with a local DynamoDB in another one. So the CPU time of this thread is their own.
"""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.media.container import ROOT, Database, database

COLD_STARTS = Path(__file__).resolve().parent.parent / "results" / "cold_start.json"
FUNCTIONS = ROOT / "functions"
EVENTS = ROOT / "events"
MODULES = ("telnyx_webhook", "ai_calls", "sweep_calls", "authorizer")
ROUNDS = 7
REQUESTS = 100
HEAVIEST = 4

# What a Lambda does before its first event: it imports its module and then builds its clients.
_COLD = """
import sys, time
started = time.perf_counter()
import {module}
imported = time.perf_counter()
if "control_plane" in sys.modules:
    sys.modules["control_plane"].control_plane()
print((imported - started) * 1000, (time.perf_counter() - imported) * 1000)
"""


class Heavy(msgspec.Struct, frozen=True):
    module: str
    ms: float


class ColdStart(msgspec.Struct, frozen=True):
    module: str
    import_ms: float
    init_ms: float
    heaviest: list[Heavy]


class Warm(msgspec.Struct, frozen=True):
    request: str
    cpu_ms: float
    wall_ms: float


class ColdStarts(msgspec.Struct, frozen=True):
    functions: list[ColdStart]
    requests: list[Warm]


def load() -> ColdStarts | None:
    if not COLD_STARTS.exists():
        return None
    return msgspec.json.decode(COLD_STARTS.read_bytes(), type=ColdStarts)


def cold(module: str, environ: Mapping[str, str]) -> ColdStart:
    times = [_once(module, environ) for _ in range(ROUNDS)]
    import_ms, init_ms = (median(column) for column in zip(*times, strict=True))
    return ColdStart(module, round(import_ms, 1), round(init_ms, 1), _heaviest(module, environ))


def _once(module: str, environ: Mapping[str, str]) -> tuple[float, float]:
    done = _python(environ, "-c", _COLD.format(module=module))
    import_ms, init_ms = done.stdout.split()
    return float(import_ms), float(init_ms)


def _heaviest(module: str, environ: Mapping[str, str]) -> list[Heavy]:
    done = _python(environ, "-X", "importtime", "-c", f"import {module}")
    return heaviest(done.stderr)


def heaviest(importtime: str) -> list[Heavy]:
    """Add up own import times by top-level package, from lines `import time: own | cumulative |
    name`."""
    own_us: dict[str, int] = {}
    for line in importtime.splitlines():
        own, _, name = (field.strip() for field in line.removeprefix("import time:").split("|"))
        if own.isdecimal():
            package = name.partition(".")[0]
            own_us[package] = own_us.get(package, 0) + int(own)
    first = sorted(own_us.items(), key=lambda each: -each[1])[:HEAVIEST]
    return [Heavy(package, round(us / 1000, 1)) for package, us in first]


def _python(environ: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, *arguments),
        cwd=FUNCTIONS,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


class _Telnyx(BaseHTTPRequestHandler):
    """A carrier that accepts every command."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"data":{"call_control_id":"v3:leg","call_leg_id":"leg","result":"ok"}}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _telnyx() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Telnyx) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def warm(store: Database, key: Ed25519PrivateKey) -> list[Warm]:
    sys.path.insert(0, str(FUNCTIONS))
    import ai_calls  # imported here because it reads its settings from this process's environment
    import telnyx_webhook

    calls = [ticket.call_id for ticket in store.admit(REQUESTS)]
    hangup = json.loads((EVENTS / "telnyx" / "call.hangup.json").read_text())
    create, read, listed = (
        json.loads((EVENTS / "api" / f"{name}.json").read_text())
        for name in ("create", "get_call", "list_status")
    )
    del create["headers"]["idempotency-key"]
    return [
        _time_request("create a call", ai_calls.handler, lambda _: create),
        _time_request(
            "read a call", ai_calls.handler, lambda number: _reading(read, calls[number])
        ),
        _time_request("list live calls", ai_calls.handler, lambda _: listed),
        _time_request(
            "webhook call.hangup",
            telnyx_webhook.handler,
            lambda number: _hung_up(hangup, calls[number], key),
        ),
    ]


def _time_request(
    request: str,
    handler: Callable[[dict[str, Any], Any], dict[str, Any]],
    event: Callable[[int], dict[str, Any]],
) -> Warm:
    cpu_ms, wall_ms = [], []
    for number in range(REQUESTS):
        prepared = event(number)
        cpu, wall = time.thread_time(), time.perf_counter()
        answer = handler(prepared, None)
        cpu_ms.append((time.thread_time() - cpu) * 1000)
        wall_ms.append((time.perf_counter() - wall) * 1000)
        if answer["statusCode"] not in (200, 201):
            raise SystemExit(f"{request}: {answer}")
    return Warm(request, round(median(cpu_ms), 3), round(median(wall_ms), 3))


def _reading(event: dict[str, Any], call_id: str) -> dict[str, Any]:
    path = f"/api/ai-calls/{call_id}"
    return {**event, "rawPath": path, "pathParameters": {"call_id": call_id}}


def _hung_up(webhook: dict[str, Any], call_id: str, key: Ed25519PrivateKey) -> dict[str, Any]:
    state = base64.b64encode(call_id.encode()).decode()
    return signed(webhook, {"id": call_id}, {"client_state": state}, key, time.time())


def signed(
    sample: dict[str, Any],
    data: dict[str, str],
    payload: dict[str, str],
    key: Ed25519PrivateKey,
    at: float,
) -> dict[str, Any]:
    """Replace values of the sample event and sign it, in the shape in which API Gateway passes it
    on."""
    payload = sample["data"]["payload"] | payload
    body = json.dumps({**sample, "data": sample["data"] | data | {"payload": payload}})
    timestamp = str(int(at))
    signature = base64.b64encode(key.sign(f"{timestamp}|{body}".encode())).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp}
    return {"headers": headers, "body": body, "isBase64Encoded": False}


def main() -> None:
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    with database() as store, _telnyx() as telnyx:
        environ = (
            os.environ
            | store.environ()
            | {
                "TELNYX_API_BASE": telnyx,
                "TELNYX_PUBLIC_KEY": public.decode(),
                "TELNYX_CONNECTION_ID": "1",
                "TELNYX_FROM_NUMBER": "+15550100",
                "BASE_PUBLIC_URL": "https://phonebridge.example",
                "OPENAI_API_KEY": "sk-local",
                "POWERTOOLS_LOG_LEVEL": "ERROR",
                "API_KEY_HASHES": "",
            }
        )
        functions = [cold(module, environ) for module in MODULES]
        os.environ.update(environ)
        requests = warm(store, key)
    measured = ColdStarts(functions, requests)
    COLD_STARTS.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n")
    print(COLD_STARTS.read_text())


if __name__ == "__main__":
    main()
