"""Whatever stands in a webhook that Telnyx has signed, it is applied or refused. After a 500 Telnyx
would send it again in vain."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import telnyx_webhook
from control_plane import services
from phonebridge.call.call import Leg
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallRequested, DialAccepted, MediaAttached
from phonebridge.call.transfer import TransferRequested
from tests.support.api_events import api_event, read_answer
from tests.support.calls import after, outbound_call
from tests.support.clock import Clock
from tests.support.permissions import Caller

SAMPLES = sorted((Path(__file__).parents[2] / "events" / "telnyx").glob("*.json"))
CALL_ID = "6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41"  # of the samples' client_state
LEG = Leg(
    "v3:sample-Kq1Zt0u7Jw3mXyB_4cR9vQ",
    "5a0e7c1e-4b7d-4c57-8f65-0d6f3f0b9b10",
    "c2f4a7d9-91c3-4e0a-a1f4-6f0b5f8f2c11",
)

DATES = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00.000001-23:59",
        "9999-12-31T23:59:59.999999-14:00",
        "99999-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2026-02-30T25:61:61Z",
        "1970-01-01T00:00:00+00:01",
        "2262-04-11T23:47:16.854775808Z",
        "1795426200",
    ]
)
LONG = st.sampled_from(
    ["x" * 2_048, "é" * 1_024, "\U0001f600" * 600, "../" * 700, "x" * 100_000, "\u0000" * 300]
)
NUMBERS = st.sampled_from([0, -1, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, float("nan")])
TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["", "\ud800", "\udfff\ud800", "\uffff", "null", "{}", "+", "+0", "sip:", "CALL#", "#", "v3:"]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | DATES | LONG
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def paths_of(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths_of(inner, (*path, name))


def replace_value(value: Any, path: tuple[str, ...], new: object) -> Any:
    if not path:
        return new
    inner = value.get(path[0]) if isinstance(value, dict) else None
    known = value if isinstance(value, dict) else {}
    return {**known, path[0]: replace_value(inner, path[1:], new)}


@st.composite
def absurd_webhooks(draw: st.DrawFn) -> bytes:
    """A sample with some of its fields, or what they lie in, replaced or removed."""
    webhook = json.loads(draw(st.sampled_from(SAMPLES)).read_bytes())
    paths = [path for path in paths_of(webhook) if path]
    for path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=4)):
        webhook = replace_value(webhook, path, draw(NESTED))
    return json.dumps(webhook).encode()


Deliver = Callable[[bytes], int]


@pytest.fixture
def deliver(
    signing_key: Ed25519PrivateKey, clock: Clock, state: Mapping[str, str], caller: Caller
) -> Deliver:
    """The handler under the role that it has on AWS, with a bucket for recordings, calls in several
    states, and an agent for every number."""
    caller.role = "TelnyxWebhookFunctionRole"
    plane = services.control_plane()
    up = (CallRequested(), DialAccepted(LEG), CallAnswered(LEG, 5_000))
    streaming = (*up, MediaAttached(1, "task-1", 6_000), TransferRequested("+15550142"))
    plane.store.create(after(outbound_call(CALL_ID), *streaming), CallConfig())
    plane.store.create(after(outbound_call("dialing"), CallRequested()), CallConfig())

    def hand_over(body: bytes) -> int:
        timestamp = str(clock.now_ms // 1000)
        signature = signing_key.sign(timestamp.encode() + b"|" + body)
        headers = {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": timestamp,
        }
        event = api_event("POST", "/webhooks/telnyx", body, headers, as_base64=True)
        return read_answer(telnyx_webhook.handler(event, None)).status

    return hand_over


def test_no_signed_webhook_causes_an_internal_error(deliver: Deliver) -> None:
    @given(absurd_webhooks())
    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    def check(body: bytes) -> None:
        assert deliver(body) in (200, 400)
        assert deliver(body) in (200, 400)

    check()


def test_a_body_that_is_no_webhook_is_refused(deliver: Deliver) -> None:
    deep = b"[" * 20_000 + b"]" * 20_000
    bodies = [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"data":' + b"9" * 5_000 + b"}",
        b'{"data":{"event_type":"call.hangup","payload":' + deep + b"}}",
        b"\xff\xfe" + "{}".encode("utf-16-le"),
        b"\xef\xbb\xbf{}",
        b'{"data":{},"data":null}',
        b"{" + b'"x":1,' * 200_000 + b'"data":{}}',
    ]
    assert [deliver(body) for body in bodies] == [400] * len(bodies)
