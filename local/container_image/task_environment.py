"""What ECS gives a task: variables by the names of template.yaml, credentials at an address, and
keys in a secret."""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

from aws.template import load_template

REGION = "us-east-1"
CREDENTIALS = {
    "AccessKeyId": "ASIALOCAL",
    "SecretAccessKey": "local",
    "Token": "session",
    "Expiration": "2099-01-01T00:00:00Z",
}
PASSED_ON = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SQS",
    "TELNYX_API_BASE",
)
"""Variables that lead to services of this machine. A task on AWS has only the first one."""


@dataclass(frozen=True, slots=True)
class TaskEnvironment:
    variables: dict[str, str]
    """Enough for a container without calls."""
    secret: dict[str, str]
    """The keys, which no variable holds."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables that the template sets, and those that lead to us."""
        [container] = load_template().properties("MediaTask")["ContainerDefinitions"]
        return (*(each["Name"] for each in container["Environment"]), *PASSED_ON)


@contextmanager
def task_environment(aws: str) -> Iterator[TaskEnvironment]:
    """`aws` is the address of moto."""
    keys = {
        "OPENAI_API_KEY": "sk-local",
        "TELNYX_API_KEY": "KEY-local",
        "STREAM_TOKEN_SECRET": secrets.token_hex(32),
    }
    with _credentials() as credentials:
        variables = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": credentials,
            "AWS_ENDPOINT_URL_DYNAMODB": aws,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws,
            "AWS_DEFAULT_REGION": REGION,
            "CALLS_TABLE": "calls",
            "PROVIDER_SECRET_ARN": _store(keys, aws),
        }
        yield TaskEnvironment(variables, keys)


def _store(keys: dict[str, str], aws: str) -> str:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=aws,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    return str(
        client.create_secret(Name=f"keys-{secrets.token_hex(4)}", SecretString=json.dumps(keys))[
            "ARN"
        ]
    )


@contextmanager
def _credentials() -> Iterator[str]:
    """Serve credentials on the loopback interface, as ECS does for each task."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _CredentialsHandler)
    thread = threading.Thread(target=server.serve_forever, name="credentials")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/credentials"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _CredentialsHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(CREDENTIALS).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
