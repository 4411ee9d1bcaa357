import base64
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from telnyx import Telnyx

from phonebridge.errors import InvalidSignature, NotConfigured
from phonebridge.telnyx.webhook_signature import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TOLERANCE_SECONDS,
    verify,
)

SAMPLE = Path(__file__).parents[3] / "events/telnyx/call.answered.json"

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
NOW_SECONDS = 1_800_000_000
BODY = b'{"data":{}}'


def sign(body: bytes, at_seconds: int = NOW_SECONDS) -> dict[str, str]:
    signature = KEY.sign(f"{at_seconds}|".encode() + body)
    return {
        SIGNATURE_HEADER: base64.b64encode(signature).decode(),
        TIMESTAMP_HEADER: str(at_seconds),
    }


def check(headers: dict[str, str], body: bytes = BODY) -> None:
    verify(PUBLIC_KEY, headers, body, NOW_SECONDS * 1000)


def test_a_genuine_webhook_passes_whatever_the_case_of_its_headers() -> None:
    check(sign(BODY))
    check({name.title(): value for name, value in sign(BODY).items()})


def test_the_official_sdk_accepts_what_we_accept() -> None:
    body = SAMPLE.read_bytes()
    now_seconds = int(time.time())
    headers = sign(body, now_seconds)
    verify(PUBLIC_KEY, headers, body, now_seconds * 1000)
    client = Telnyx(api_key="KEY", public_key=PUBLIC_KEY)
    client.webhooks.unwrap(body.decode(), headers=headers)


@pytest.mark.parametrize("header", [SIGNATURE_HEADER, TIMESTAMP_HEADER])
def test_an_unsigned_webhook_is_refused(header: str) -> None:
    headers = sign(BODY)
    del headers[header]
    with pytest.raises(InvalidSignature, match=f"no {header} header"):
        check(headers)


@pytest.mark.parametrize("age_seconds", [-TOLERANCE_SECONDS, TOLERANCE_SECONDS])
def test_clocks_may_differ_within_the_tolerance(age_seconds: int) -> None:
    check(sign(BODY, NOW_SECONDS - age_seconds))


@pytest.mark.parametrize("age_seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1])
def test_a_webhook_from_another_time_is_refused(age_seconds: int) -> None:
    with pytest.raises(InvalidSignature, match="within 300 seconds"):
        check(sign(BODY, NOW_SECONDS - age_seconds))


@pytest.mark.parametrize("timestamp", ["soon", "1e9", "9" * 5000])
def test_a_timestamp_must_be_a_number_of_seconds(timestamp: str) -> None:
    with pytest.raises(InvalidSignature, match="not a number of seconds"):
        check(sign(BODY) | {TIMESTAMP_HEADER: timestamp})


def test_a_huge_timestamp_is_merely_stale() -> None:
    with pytest.raises(InvalidSignature, match="within 300 seconds"):
        check(sign(BODY) | {TIMESTAMP_HEADER: "9" * 4000})


@pytest.mark.parametrize("signature", ["not base64!", "abc", "é"])
def test_a_signature_must_be_base64(signature: str) -> None:
    with pytest.raises(InvalidSignature, match="not base64"):
        check(sign(BODY) | {SIGNATURE_HEADER: signature})


def test_a_signature_covers_body_and_timestamp() -> None:
    headers = sign(BODY)
    with pytest.raises(InvalidSignature, match="does not match"):
        check(headers, BODY + b" ")
    with pytest.raises(InvalidSignature, match="does not match"):
        check(headers | {TIMESTAMP_HEADER: str(NOW_SECONDS + 1)})
    with pytest.raises(InvalidSignature, match="does not match"):
        check(headers | {SIGNATURE_HEADER: base64.b64encode(b"short").decode()})


def test_the_signature_of_somebody_else_is_refused() -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32).public_key().public_bytes_raw()
    with pytest.raises(InvalidSignature, match="does not match"):
        verify(base64.b64encode(other).decode(), sign(BODY), BODY, NOW_SECONDS * 1000)


@pytest.mark.parametrize("key", ["", "no key", base64.b64encode(b"k" * 31).decode()])
def test_without_a_good_key_nothing_is_accepted(key: str) -> None:
    with pytest.raises(NotConfigured, match="TELNYX_PUBLIC_KEY"):
        verify(key, sign(BODY), BODY, NOW_SECONDS * 1000)
