"""Invokes every function with its sample events in `events/`, by `sam local invoke`: `make invoke`.

Each one runs in the image of its runtime, so docker or podman is needed. moto replaces AWS, and the
simulator Telnyx. An event passes if its function answers it without an exception or a 5xx.
"""

import argparse
import base64
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aws.dynamodb import create_table, dynamodb, local_client
from aws.stack import free_port
from aws.state import create_state
from aws.template import TEMPLATE, Template, load_template

ROOT = Path(__file__).resolve().parent.parent
EVENTS = ROOT / "events"
LOCAL_TEMPLATE = ROOT / ".build" / "local-template.yaml"
BUILT = ROOT / ".build" / "sam-local"
REGION = "us-east-1"
WITHOUT_ROUTE = {
    "authorizer": "AuthorizerFunction",
    "sweep": "SweepCallsFunction",
    "copy_recording": "CopyRecordingFunction",
    "send_outcome": "SendOutcomeFunction",
}
"""Functions by the names of the events that come from no route of the API."""


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    function: str
    event: Mapping[str, Any]


def samples(template: Template, key: Ed25519PrivateKey, now: int) -> Iterator[Sample]:
    """Yield all sample events. Those of the carrier are signed, and wrapped as the API does."""
    functions = _functions_by_route(template)
    for path in sorted((EVENTS / "api").glob("*.json")):
        event = json.loads(path.read_text())
        yield Sample(f"api/{path.stem}", functions[event["routeKey"]], event)
    for name, function in WITHOUT_ROUTE.items():
        yield Sample(name, function, json.loads((EVENTS / f"{name}.json").read_text()))
    envelope = json.loads((EVENTS / "api" / "telnyx_webhook.json").read_text())
    for path in sorted((EVENTS / "telnyx").glob("*.json")):
        event = _sign(envelope, path.read_text(), key, now)
        yield Sample(f"telnyx/{path.stem}", functions[envelope["routeKey"]], event)


def _functions_by_route(template: Template) -> dict[str, str]:
    return {
        f"{route['Method']} {route['Path']}": name
        for name, function in template.of_type("AWS::Serverless::Function").items()
        for event in function.get("Events", {}).values()
        if event["Type"] == "HttpApi"
        for route in [event["Properties"]]
    }


def _sign(
    envelope: Mapping[str, Any], body: str, key: Ed25519PrivateKey, now: int
) -> dict[str, Any]:
    signature = base64.b64encode(key.sign(f"{now}|{body}".encode())).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": str(now)}
    return {**envelope, "headers": {**envelope["headers"], **headers}, "body": body}


def local_template(text: str, variables: Mapping[str, str], architecture: str) -> str:
    """Return template.yaml for this machine. sam hands only those variables to a function that its
    template names, and the endpoints of moto are not among them."""
    text = text.replace("[arm64]", f"[{architecture}]")
    lines = "".join(f"        {name}: {json.dumps(value)}\n" for name, value in variables.items())
    for name in variables:
        text = re.sub(rf"(?m)^        {name}: .*\n", "", text)
    return text.replace("      Variables:\n", f"      Variables:\n{lines}", 1)


def failure_of(answer: str) -> str:
    """Return what is wrong with the answer of a function, or nothing."""
    try:
        reply = json.loads(answer.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return "no answer"
    if not isinstance(reply, dict):
        return ""
    if "errorMessage" in reply:
        return str(reply["errorMessage"])
    status = reply.get("statusCode", 200)
    return f"{status} {reply.get('body')}" if status >= 500 else ""


@contextmanager
def _services(key: Ed25519PrivateKey) -> Iterator[dict[str, str]]:
    """Run moto and the simulated carrier. Yield the variables that lead there."""
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    with dynamodb() as aws, _carrier() as api_base:
        create_table(local_client(aws), "calls", load_template())
        yield {
            **create_state(aws),
            "CALLS_TABLE": "calls",
            "BASE_PUBLIC_URL": "https://api.example.com",
            "TELNYX_API_BASE": api_base,
            "TELNYX_CONNECTION_ID": "2000000000000000001",
            "TELNYX_FROM_NUMBER": "+15550100",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws,
            "PROVIDER_SECRET_ARN": _store_keys(aws, public),
            "API_KEY_HASHES": hashlib.sha256(b"a-key-of-the-tests").hexdigest(),
        }


def _store_keys(aws: str, public_key: str) -> str:
    keys = {
        "OPENAI_API_KEY": "sk-local",
        "TELNYX_API_KEY": "KEY-local",
        "TELNYX_PUBLIC_KEY": public_key,
        "STREAM_TOKEN_SECRET": "local",
    }
    client = boto3.client(
        "secretsmanager",
        endpoint_url=aws,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    return str(client.create_secret(Name="keys", SecretString=json.dumps(keys))["ARN"])


@contextmanager
def _carrier() -> Iterator[str]:
    port = free_port()
    command = (sys.executable, "-m", "simulators.telnyx", "--port", str(port))
    process = subprocess.Popen(command, cwd=ROOT / "local", stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/v2"
    finally:
        process.terminate()
        process.wait()


def _build(variables: Mapping[str, str], architecture: str) -> None:
    LOCAL_TEMPLATE.parent.mkdir(exist_ok=True)
    LOCAL_TEMPLATE.write_text(local_template(TEMPLATE.read_text(), variables, architecture))
    machine = {"x86_64": "x86_64", "arm64": "aarch64"}[architecture]
    command = ("sam", "build", "--template", str(LOCAL_TEMPLATE), "--base-dir", str(ROOT))
    subprocess.run(
        (*command, "--build-dir", str(BUILT)),
        check=True,
        env=os.environ | {"MACHINE": machine},
        capture_output=True,
    )


def _invoke(sample: Sample, options: Iterable[str]) -> str:
    environ = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    command = ("sam", "local", "invoke", sample.function, "--template", f"{BUILT}/template.yaml")
    done = subprocess.run(
        (*command, "--event", "-", "--docker-network", "host", "--region", REGION, *options),
        input=json.dumps(sample.event),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environ,
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return failure_of(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make invoke", description=__doc__)
    own = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    parser.add_argument("--architecture", choices=["arm64", "x86_64"], default=own)
    parser.add_argument("--only", default="", help="part of the names of the events")
    parser.add_argument("--skip-pull-image", action="store_true")
    given = parser.parse_args()
    options = ["--skip-pull-image"] if given.skip_pull_image else []
    key, failed = Ed25519PrivateKey.generate(), 0
    with _services(key) as variables:
        _build(variables, given.architecture)
        for sample in samples(load_template(), key, round(time.time())):
            if given.only in sample.name:
                wrong = _invoke(sample, options)
                failed += bool(wrong)
                print(f"{'FAIL' if wrong else 'ok  '}  {sample.name:<45} {wrong}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
