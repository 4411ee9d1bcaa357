"""The OpenAPI document is true for programs that read it: clients that well-known generators make
of it call every route, and a fuzzer finds no answer that it does not describe."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from phonebridge.storage.call_store import DynamoCallStore
from tests.support import moto_stack
from tests.support.api_server import ApiServer, api_server

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests/support"
TOOLS = ROOT / ".venv-openapi/bin"
"""Made by `make test`, as is the next."""
NODE_MODULES = ROOT / ".build/typescript_client/node_modules"
EXAMPLES = 2
"""Number of random examples per operation, in addition to the fuzzer's fixed phases."""
SECONDS = 540
"""After which something hangs."""

IS_CI = os.environ.get("CI") == "true"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (path.exists() or IS_CI), reason=f"{path.relative_to(ROOT)} is not there: `make test`"
    )


@pytest.fixture(scope="module")
def server(
    dynamodb_address: str, cloudformation: Any, client: "DynamoDBClient"
) -> Iterator[ApiServer]:
    table_name = moto_stack.create(cloudformation, ["CallsTable"])["CallsTable"]
    store = DynamoCallStore(table_name, client, lambda: time.time_ns() // 1_000_000)
    with api_server(dynamodb_address, table_name, store) as server:
        yield server


@pytest.fixture(scope="module")
def document(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(
        httpx.get(f"{server.url}/api/openapi.json", trust_env=False, timeout=SECONDS).text
    )
    return path


def routes_in(document: Path) -> set[str]:
    paths = json.loads(document.read_text())["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def run(*command: str | Path, cwd: Path) -> None:
    environ = os.environ | {"PATH": f"{TOOLS}:{os.environ['PATH']}", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@needs(TOOLS)
def test_a_python_client_calls_every_route(
    server: ApiServer, document: Path, tmp_path: Path
) -> None:
    package = tmp_path / "phonebridge_client"
    options = ("--meta", "none", "--output-path", package, "--fail-on-warning")
    run(TOOLS / "openapi-python-client", "generate", "--path", document, *options, cwd=tmp_path)
    server.routes.clear()
    call_id = server.streaming_call("called-from-python")

    script = SUPPORT / "python_client/call_every_route.py"
    run(TOOLS / "python", script, tmp_path, server.url, call_id, cwd=tmp_path)

    assert server.routes == routes_in(document)


@needs(NODE_MODULES)
def test_a_typescript_client_calls_every_route(
    server: ApiServer, document: Path, tmp_path: Path
) -> None:
    for file in (SUPPORT / "typescript_client").iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    bin_ = NODE_MODULES / ".bin"
    run(bin_ / "openapi-typescript", document, "-o", tmp_path / "schema.d.ts", cwd=tmp_path)
    run(bin_ / "tsc", "-p", tmp_path, cwd=tmp_path)
    server.routes.clear()
    call_id = server.streaming_call("called-from-typescript")

    run("node", tmp_path / "call_every_route.js", server.url, call_id, cwd=tmp_path)

    assert server.routes == routes_in(document)


@needs(TOOLS)
def test_a_fuzzer_finds_no_answer_that_the_document_does_not_describe(
    server: ApiServer, tmp_path: Path
) -> None:
    """Its check `positive_data_acceptance` is left out: rules between two fields, and cursors that
    a list has given, are beyond what a schema can say."""
    options = ("--max-examples", str(EXAMPLES), "--seed", "1", "--exclude-checks")
    run(
        TOOLS / "schemathesis",
        "run",
        f"{server.url}/api/openapi.json",
        *options,
        "positive_data_acceptance",
        cwd=tmp_path,
    )
