"""The pure readers of the control plane under fuzzed input: webhooks with the life of a call behind
them, Telnyx's answers, signatures, tokens, and what the table holds."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import msgspec
import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.drills.mechanism import replaced
from benchmarks.drills.results import ROOT
from benchmarks.fuzz.mutation import Mutator
from benchmarks.fuzz.settings import SECRET
from benchmarks.fuzz.target import Broken, Play, Tally, Target
from media_bridge.conversation.history import history_of
from phonebridge import stream_token
from phonebridge.call.call import Call, CallStatus, Direction, Hangup, Leg
from phonebridge.call.commands import CarrierCommand, Dial, HangUp, Report, StartStreaming
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallEvent, CallHungUp, CallRequested
from phonebridge.call.lifecycle import advance
from phonebridge.call.overdue import overdue
from phonebridge.call.owed import owed_commands
from phonebridge.call.resume import PastToolCall, Resume
from phonebridge.call.turn import Speaker, Turn
from phonebridge.errors import (
    InvalidSignature,
    InvalidToken,
    InvalidTransition,
    MalformedRequest,
    TelnyxError,
)
from phonebridge.storage.call_items import StoredConfig, StoredResume, decode_config
from phonebridge.telnyx import call_control
from phonebridge.telnyx.call_control import CallControlConfig
from phonebridge.telnyx.client import TelnyxClient
from phonebridge.telnyx.webhook import about_target, parse
from phonebridge.telnyx.webhook_signature import verify

NOW_MS = 1_795_426_200_000
STEP_MS = 700
EVENTS_PER_CALL = 40
INPUTS_PER_ROUND = 200
LEG = Leg("v3:leg-1", "leg-1", "session-1")
LINE = CallControlConfig("wss://media.example", SECRET, "connection-1", "https://p.example/w")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""How msgspec refuses a text. Ours never nest as deep as its limit."""
WEBHOOKS = tuple(path.read_bytes() for path in sorted((ROOT / "events" / "telnyx").glob("*.json")))


def targets() -> tuple[Target, ...]:
    return (
        Target("webhooks and life of a call", 200_000, _always(_webhooks)),
        Target("answers of Telnyx", 50_000, _telnyx_client),
        Target("webhook signatures", 20_000, _signatures),
        Target("media tokens", 10_000, _always(_tokens)),
        Target("stored settings and resumes", 20_000, _always(_stored)),
    )


def _always(play: Play) -> Any:
    @contextmanager
    def open_target() -> Iterator[Play]:
        yield play

    return open_target


def _webhooks(chance: Random, tally: Tally) -> None:
    """A call gets mutated webhooks in any order, and a genuine hangup at last."""
    mutator = Mutator(chance, WEBHOOKS)
    call = Call(
        call_id="call-1",
        direction=chance.choice((Direction.OUTBOUND, Direction.INBOUND)),
        to="+15550100",
        from_="+15550199",
        created_at_ms=NOW_MS,
    )
    call = advance(call, CallRequested(with_stream=chance.random() < 0.3), NOW_MS)
    now_ms = NOW_MS
    for _ in range(EVENTS_PER_CALL):
        now_ms += chance.choice((0, STEP_MS, 100 * STEP_MS))
        body = mutator.sample()
        if chance.random() < 0.6:
            body = mutator.mutate(body)
        tally.count(body)
        try:
            webhook = parse(body, now_ms)
        except MalformedRequest:
            tally.refused += 1
            continue
        if chance.random() < 0.1:
            webhook = about_target(webhook, 1, is_warm=chance.random() < 0.5)
        is_known = call.leg or webhook.leg.call_control_id  # else it is to be delivered again
        if webhook.event and is_known:
            call = _next(call, webhook.event, now_ms, tally)
    call = _next(call, CallAnswered(LEG, now_ms), now_ms, tally)
    call = _next(call, CallHungUp(LEG, Hangup("normal_clearing", "caller", now_ms)), now_ms, tally)
    if call.status is not CallStatus.ENDED or call.outcome is None or call.ended_at_ms is None:
        raise Broken(f"the call is {call.status} after its hangup")


def _next(call: Call, event: CallEvent, now_ms: int, tally: Tally) -> Call:
    try:
        call = advance(call, event, now_ms)
    except InvalidTransition:
        tally.refused += 1
    for command in owed_commands(call, now_ms, repeats=True):
        if not isinstance(command, Report):
            call_control.request(command, call, CallConfig(), LINE, now_ms)
    overdue(call, is_task_lost=True, max_call_ms=3_600_000, now_ms=now_ms + 100_000)
    msgspec.json.encode(call)
    return call


@dataclass(slots=True)
class _Answer:
    status: int
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Pool:
    """Replaces `urllib3.PoolManager`."""

    answer: _Answer = field(default_factory=lambda: _Answer(200, b"{}"))

    def request(self, *_: object, **__: object) -> _Answer:
        return self.answer


_ANSWERS = (
    b'{"data":{"call_control_id":"v3:leg-1","call_leg_id":"leg-1","call_session_id":"s-1",'
    b'"is_alive":true,"start_time":"2026-11-30T21:00:00Z","end_time":"2026-11-30T21:04:00Z",'
    b'"record_type":"call","call_duration":30,"client_state":"Y2FsbC0x"}}',
    b'{"errors":[{"code":"90018","title":"Call has already ended","detail":"This call is over"},'
    b'{"code":10015,"meta":{"url":"https://developers.telnyx.com"}}],'
    b'"telnyx_error":{"error_code":"D60"}}',
    b'{"data":{"result":"ok"}}',
)


@contextmanager
def _telnyx_client() -> Iterator[Play]:
    pool = _Pool()
    with replaced(urllib3, "PoolManager", lambda **_: pool):
        client = TelnyxClient(
            "https://telnyx.example/v2", "KEY", LINE, now_ms=lambda: NOW_MS, sleep=lambda _: None
        )
    yield partial(_answers, client, pool)


def _answers(client: TelnyxClient, pool: _Pool, chance: Random, tally: Tally) -> None:
    mutator = Mutator(chance, _ANSWERS)
    call = advance(_call(), CallAnswered(LEG, NOW_MS), NOW_MS)
    commands: tuple[CarrierCommand, ...] = (Dial(), HangUp(), StartStreaming(1))
    for _ in range(INPUTS_PER_ROUND):
        body = mutator.mutate(mutator.sample())
        tally.count(body)
        status = chance.choice((200, 200, 201, 301, 400, 422, 429, 500, 503, 599, 99))
        wait = chance.choice(("", "1", "nan", "-inf", "1e400", "Tue, 29 Oct", "9" * 400))
        name = chance.choice(("Retry-After", "x-ratelimit-reset"))
        pool.answer = _Answer(status, body, {name: wait} if wait else {})
        try:
            client.execute(chance.choice(commands), call, CallConfig())
            client.look_up(LEG)
        except TelnyxError:
            tally.refused += 1


def _call() -> Call:
    call = Call(
        call_id="call-1",
        direction=Direction.OUTBOUND,
        to="+15550100",
        from_="+15550199",
        created_at_ms=NOW_MS,
    )
    return advance(call, CallRequested(), NOW_MS)


@contextmanager
def _signatures() -> Iterator[Play]:
    key = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    yield partial(_check_signatures, key)


def _check_signatures(key: Ed25519PrivateKey, chance: Random, tally: Tally) -> None:
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    body, timestamp = chance.choice(WEBHOOKS), str(NOW_MS // 1000)
    signature = base64.b64encode(key.sign(timestamp.encode() + b"|" + body)).decode()
    mutator = Mutator(chance, WEBHOOKS)
    for _ in range(INPUTS_PER_ROUND):
        headers = {"telnyx-signature-ed25519": signature, "Telnyx-Timestamp": timestamp}
        given = body
        if chance.random() < 0.5:
            given = mutator.mutate(body)
        else:
            name = chance.choice(list(headers))
            changed = mutator.mutate(headers[name].encode()).decode(errors="surrogateescape")
            headers[name] = changed
        tally.count(repr((headers, given[:80])).encode())
        try:
            verify(public, headers, given, NOW_MS)
        except InvalidSignature:
            tally.refused += 1
            continue
        is_same = base64.b64decode(headers["telnyx-signature-ed25519"]) == base64.b64decode(
            signature
        )
        if given != body or not is_same or int(headers["Telnyx-Timestamp"]) != int(timestamp):
            raise Broken("a webhook was accepted that nobody has signed")


def _tokens(chance: Random, tally: Tally) -> None:
    token = stream_token.issue(SECRET, "call-1", 2, NOW_MS)
    mutator = Mutator(chance, [token.encode()])
    for _ in range(INPUTS_PER_ROUND):
        call_id = chance.choice(("call-1", "call-1", "call-2", "call-1|2"))
        changed = mutator.mutate(token.encode()).decode(errors="surrogateescape")
        tally.count(changed.encode(errors="surrogateescape"))
        try:
            number = stream_token.verify(SECRET, changed, call_id, NOW_MS)
        except InvalidToken:
            tally.refused += 1
            continue
        parts, issued = changed.split(".", 2), token.split(".", 2)
        is_same = [int(each) for each in parts[:2]] == [int(each) for each in issued[:2]]
        if number != 2 or call_id != "call-1" or parts[2] != issued[2] or not is_same:
            raise Broken("a token was accepted that was not issued")


_RESUME = Resume(
    (PastToolCall("call-0", "book", '{"day":"2030-01-31"}', '{"ok":true}', 2),), "We are", True
)
_TURNS = (
    Turn(number=1, who=Speaker.AGENT, text="Hello!", started_ms=0, ended_ms=900),
    Turn(number=2, who=Speaker.CALLER, text="When?", started_ms=1_000, ended_ms=1_900),
)


def _stored(chance: Random, tally: Tally) -> None:
    """Another version may have written it."""
    samples = [msgspec.json.encode(each) for each in (_RESUME, CallConfig())]
    mutator = Mutator(chance, samples)
    for _ in range(INPUTS_PER_ROUND):
        resume, config = (mutator.mutate(each) for each in samples)
        tally.count(resume)
        tally.count(config)
        try:
            read = StoredResume(resume.decode()).resume
            history_of(_TURNS, read, language="de")
        except UNREADABLE:
            tally.refused += 1
        try:
            decode_config(StoredConfig(config.decode()))
        except UNREADABLE:
            tally.refused += 1
