"""The signature checks of the examples agree with what Phonebridge signs."""

import base64
import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from phonebridge.http.signature import sign

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
SECRET, NOW = "secret-of-this-test", 1_795_003_300
BODY = '{"name": "Zoë"}'.encode()
SIGNED = sign(SECRET, BODY, NOW * 1000)
TIMESTAMP, SIGNATURE = SIGNED["Phonebridge-Timestamp"], SIGNED["Phonebridge-Signature"]
IS_CI = os.environ.get("CI") == "true"

Case = tuple[str, str, bytes, float, bool]
"""Timestamp, signature, body, the time of the check, and whether it is genuine."""
CASES: dict[str, Case] = {
    "genuine": (TIMESTAMP, SIGNATURE, BODY, NOW, True),
    "almost five minutes old": (TIMESTAMP, SIGNATURE, BODY, NOW + 299, True),
    "of a clock that is ahead": (TIMESTAMP, SIGNATURE, BODY, NOW - 299, True),
    "too old": (TIMESTAMP, SIGNATURE, BODY, NOW + 301, False),
    "from the future": (TIMESTAMP, SIGNATURE, BODY, NOW - 301, False),
    "another body": (TIMESTAMP, SIGNATURE, BODY + b" ", NOW, False),
    "another time": (str(NOW + 1), SIGNATURE, BODY, NOW, False),
    "another secret": (
        TIMESTAMP,
        sign("x", BODY, NOW * 1000)["Phonebridge-Signature"],
        BODY,
        NOW,
        False,
    ),
    "another version": (TIMESTAMP, SIGNATURE.replace("v1=", "v2="), BODY, NOW, False),
    "without its version": (TIMESTAMP, SIGNATURE.removeprefix("v1="), BODY, NOW, False),
    "half a signature": (TIMESTAMP, SIGNATURE[:20], BODY, NOW, False),
    "letters beyond ASCII": (TIMESTAMP, "v1=é", BODY, NOW, False),
    "digits beyond ASCII": ("²", SIGNATURE, BODY, NOW, False),
    "no number": ("soon", SIGNATURE, BODY, NOW, False),
    "no headers": ("", "", BODY, NOW, False),
}


def test_the_check_in_python_knows_genuine_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTCOME_WEBHOOK_SECRET", SECRET)
    example = load(EXAMPLES / "booking_agent.py")
    found = {
        name: example.is_from_phonebridge(timestamp, signature, body, now)
        for name, (timestamp, signature, body, now, _) in CASES.items()
    }
    assert found == {name: case[-1] for name, case in CASES.items()}


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAM = """
import { isFromPhonebridge } from "./verify_signature.mjs";
const [secret, cases] = JSON.parse(process.argv[1]);
const check = ([headers, body, now]) =>
  isFromPhonebridge(secret, headers, Buffer.from(body, "base64"), now);
console.log(JSON.stringify(cases.map(check)));
"""


@pytest.mark.skipif(not (shutil.which("node") or IS_CI), reason="node is not installed")
def test_the_check_in_javascript_knows_genuine_requests() -> None:
    asked = json.dumps([SECRET, [as_node_has_it(*case[:-1]) for case in CASES.values()]])
    command = ("node", "--input-type=module", "--eval", PROGRAM, asked)
    printed = subprocess.run(command, cwd=EXAMPLES, capture_output=True, check=True).stdout
    found = dict(zip(CASES, json.loads(printed), strict=True))
    assert found == {name: case[-1] for name, case in CASES.items()}


def as_node_has_it(timestamp: str, signature: str, body: bytes, now: float) -> list[Any]:
    """Headers that are empty here are missing there."""
    headers = {"phonebridge-timestamp": timestamp, "phonebridge-signature": signature}
    given = {name: value for name, value in headers.items() if value}
    return [given, base64.b64encode(body).decode(), now]


def test_the_booking_agent_has_less_than_80_lines() -> None:
    assert len((EXAMPLES / "booking_agent.py").read_text().splitlines()) < 80


def test_the_booking_agent_needs_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUTCOME_WEBHOOK_SECRET", raising=False)
    with pytest.raises(KeyError):
        load(EXAMPLES / "booking_agent.py")
