"""The handlers of the Lambdas under fuzzed requests: each route of the API, the webhook, the
authorizer, the page."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import ai_calls
import authorizer
import talk_page
import telnyx_webhook
from benchmarks.drills.results import ROOT
from benchmarks.drills.virtual_system import environ
from benchmarks.fuzz.control_plane import fresh_plane, quiet_logs
from benchmarks.fuzz.decoder_targets import LEG, NOW_MS, WEBHOOKS
from benchmarks.fuzz.mutation import Mutator
from benchmarks.fuzz.settings import ENVIRONMENT
from benchmarks.fuzz.target import Broken, Play, Tally, Target
from control_plane.services import ControlPlane
from phonebridge.call.call import Call, Direction, Hangup
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    BrowserCallRequested,
    CallAnswered,
    CallEvent,
    CallHungUp,
    CallRequested,
    DialAccepted,
    MediaAttached,
)
from phonebridge.call.lifecycle import advance

INPUTS = 20_000
REQUESTS_PER_ROUND = 100
LIVE, ENDED, BROWSER = (
    "6b1c2c9e-3d0f-4db5-9a52-2b7c1f0e8a41",
    "6b1c2c9e-3d0f-4db5-9a52-2b7c1f0e8a42",
    "6b1c2c9e-3d0f-4db5-9a52-2b7c1f0e8a43",
)
WEBHOOK_CALL = "6f1c2c9e-3d0f-4d5b-9a52-2b7c1f0e8a41"
"""The call that the `client_state` of the samples names."""
KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
CONTEXT = SimpleNamespace(
    function_name="fuzz",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:fuzz",
    aws_request_id="request-1",
)
_EVENTS = ROOT / "events"
_NOT_OF_THE_API = {"talk_page", "console_file", "telnyx_webhook"}
_FEWER_INPUTS, _ROUND = {"openapi": 1_000}, {"/api/openapi.json": 10}
"""This route reads nothing but the path, and each answer takes 70 ms."""
_HEADERS = ("idempotency-key", "content-type", "accept", "if-none-match")


def targets() -> Iterator[Target]:
    for path in sorted((_EVENTS / "api").glob("*.json")):
        if path.stem not in _NOT_OF_THE_API:
            inputs = _FEWER_INPUTS.get(path.stem, INPUTS)
            yield Target(f"API: {path.stem}", inputs, partial(_api, path), "ai_calls")
    yield Target("webhook handler", INPUTS, _webhook_handler, "telnyx_webhook")
    yield Target("authorizer", INPUTS, _authorizer, "authorizer")
    yield Target("talk page", INPUTS, _talk_page, "talk_page")


@contextmanager
def _api(path: Path) -> Iterator[Play]:
    with quiet_logs():
        yield partial(_requests, json.loads(path.read_bytes()))


def _requests(sample: dict[str, Any], chance: Random, tally: Tally) -> None:
    body = (sample.get("body") or "{}").encode()
    mutator = Mutator(chance, [body, *_bodies()])
    with fresh_plane(ENVIRONMENT, lambda: NOW_MS) as plane:
        fill(plane)
        for _ in range(_ROUND.get(sample["rawPath"], REQUESTS_PER_ROUND)):
            event = _mutated(sample, body, chance, mutator)
            tally.count(repr((event["rawPath"], event.get("body"))).encode())
            answered = ai_calls.handler(event, CONTEXT)
            tally.refused += _check(answered)


def _bodies() -> Sequence[bytes]:
    texts = (json.loads(path.read_bytes()).get("body") for path in (_EVENTS / "api").glob("*.json"))
    return [text.encode() for text in texts if text]


def _mutated(
    sample: dict[str, Any], body: bytes, chance: Random, mutator: Mutator
) -> dict[str, Any]:
    """What API Gateway passes on: the body is text or base64, the path and the query are those of
    the URL, and headers are text."""
    event = {**sample, "headers": dict(sample["headers"])}
    path = event["rawPath"].replace(LIVE, chance.choice((LIVE, LIVE, ENDED, BROWSER)))
    if chance.random() < 0.15:
        path = _text(mutator.mutate(path.encode()), 2_000)
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"] = {
        **event["requestContext"],
        "http": {**event["requestContext"]["http"]},
    }
    if chance.random() < 0.2:
        query = event["rawQueryString"] or chance.choice(("limit=20", "cursor=x", "day=2026-11-30"))
        event["rawQueryString"] = _text(mutator.mutate(query.encode()), 2_000)
        read = parse_qs(event["rawQueryString"], keep_blank_values=True)
        event["queryStringParameters"] = {name: ",".join(values) for name, values in read.items()}
    if chance.random() < 0.2:
        event["headers"][chance.choice(_HEADERS)] = _text(mutator.mutate(b"order-1042"), 4_000)
    if chance.random() < 0.85:
        _set_body(event, mutator.mutate(body))
    return event


def _text(changed: bytes, length: int) -> str:
    """A URL and a header have no bytes that are not UTF-8 once API Gateway has read them."""
    return unquote(changed.decode(errors="replace"))[:length]


def _set_body(event: dict[str, Any], body: bytes) -> None:
    try:
        event["body"], event["isBase64Encoded"] = body.decode(), False
    except UnicodeDecodeError:
        event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True


def _check(answered: Mapping[str, Any]) -> bool:
    """Return whether the request was refused."""
    status = answered["statusCode"]
    if status >= 500:
        raise Broken(f"status {status}: {str(answered.get('body'))[:300]}")
    if status < 400:
        return False
    error = json.loads(answered["body"])["error"]
    if not (error["code"] and error["message"]):
        raise Broken(f"status {status} does not say why")
    return True


def fill(plane: ControlPlane) -> None:
    """One call of each kind, an agent and its number."""
    up = (
        CallRequested(),
        DialAccepted(LEG),
        CallAnswered(LEG, NOW_MS),
        MediaAttached(1, "t", NOW_MS),
    )
    over = CallHungUp(LEG, Hangup("normal_clearing", "caller", NOW_MS))
    plane.store.create(_call(LIVE, *up), CallConfig())
    plane.store.create(_call(WEBHOOK_CALL, *up), CallConfig())
    plane.store.create(_call(ENDED, *up, over), CallConfig())
    browser = (BrowserCallRequested(), MediaAttached(1, "t", NOW_MS))
    plane.store.create(_call(BROWSER, *browser, direction=Direction.BROWSER), CallConfig())
    plane.directory.put_agent("reception", instructions="Be brief.")
    plane.directory.assign("+15550100", "reception")


def _call(call_id: str, *events: CallEvent, direction: Direction = Direction.OUTBOUND) -> Call:
    has_carrier = direction is not Direction.BROWSER
    to, from_ = ("+15550100", "+15550199") if has_carrier else ("", "")
    call = Call(call_id=call_id, direction=direction, to=to, from_=from_, created_at_ms=NOW_MS)
    for event in events:
        call = advance(call, event, NOW_MS)
    return call


@contextmanager
def _webhook_handler() -> Iterator[Play]:
    with quiet_logs():
        yield _webhooks


def _webhooks(chance: Random, tally: Tally) -> None:
    mutator = Mutator(chance, WEBHOOKS)
    with fresh_plane({**ENVIRONMENT, "TELNYX_PUBLIC_KEY": PUBLIC_KEY}, lambda: NOW_MS) as plane:
        fill(plane)
        for _ in range(REQUESTS_PER_ROUND):
            body = mutator.sample()
            if chance.random() < 0.9:
                body = mutator.mutate(body)
            tally.count(body)
            tally.refused += _check(telnyx_webhook.handler(_signed(body), CONTEXT))


def _signed(body: bytes) -> dict[str, Any]:
    timestamp = str(NOW_MS // 1000)
    signature = base64.b64encode(KEY.sign(timestamp.encode() + b"|" + body)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp}
    text = base64.b64encode(body).decode()
    return {
        "headers": headers,
        "body": text,
        "isBase64Encoded": True,
        "rawPath": "/webhooks/telnyx",
    }


_AUTHORIZATION = b"Bearer a-key-of-the-tests"


@contextmanager
def _authorizer() -> Iterator[Play]:
    event = json.loads((_EVENTS / "authorizer.json").read_bytes())
    known = sha256(b"a-key-of-the-tests").hexdigest()
    with environ({"API_KEY_HASHES": known}):
        yield partial(_keys, event)


def _keys(event: dict[str, Any], chance: Random, tally: Tally) -> None:
    mutator = Mutator(chance, [_AUTHORIZATION])
    for _ in range(REQUESTS_PER_ROUND):
        given = _text(mutator.mutate(_AUTHORIZATION), 4_000)
        tally.count(given.encode(errors="replace"))
        answered = authorizer.handler({**event, "headers": {"authorization": given}}, None)
        is_known = given[:7].lower() == "bearer " and given[7:].strip() == "a-key-of-the-tests"
        if answered["isAuthorized"] is not is_known:
            raise Broken(f"{given!r} is {'not ' if is_known else ''}let in")
        tally.refused += not is_known


@contextmanager
def _talk_page() -> Iterator[Play]:
    with environ(ENVIRONMENT):
        yield _pages


def _pages(chance: Random, tally: Tally) -> None:
    paths = [b"/", b"/console/talk.js", b"/console/../talk_page.py", b"/console/%2e%2e/x.js"]
    mutator = Mutator(chance, paths)
    for _ in range(REQUESTS_PER_ROUND):
        path = _text(mutator.mutate(mutator.sample()), 2_000)
        tally.count(path.encode())
        event = {"rawPath": path, "headers": {"if-none-match": path}}
        answered = talk_page.handler(event, CONTEXT)
        if answered["statusCode"] not in (200, 304, 404):
            raise Broken(f"status {answered['statusCode']}")
        tally.refused += answered["statusCode"] == 404
