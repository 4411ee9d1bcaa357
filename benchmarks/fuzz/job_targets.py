"""The handlers that nobody sends a request to: consumers of queues under fuzzed messages, and the
sweep under calls in any state."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import boto3
from botocore.exceptions import ClientError

import copy_recording
import send_outcome
import sweep_calls
from benchmarks.drills.mechanism import replaced
from benchmarks.drills.results import ROOT
from benchmarks.fuzz.control_plane import fresh_plane, quiet_logs
from benchmarks.fuzz.decoder_targets import LEG, NOW_MS, UNREADABLE, WEBHOOKS
from benchmarks.fuzz.handler_targets import CONTEXT, ENDED, INPUTS, LIVE, fill
from benchmarks.fuzz.mutation import Mutator
from benchmarks.fuzz.settings import ENVIRONMENT
from benchmarks.fuzz.target import Broken, Play, Tally, Target
from control_plane import batches, outcome_request, recording_download, services
from control_plane.services import ControlPlane
from phonebridge.call.call import Call, CallStatus, Direction
from phonebridge.call.config import CallConfig, Fallback
from phonebridge.call.events import CallAnswered, CallEvent, CallRequested, MediaAttached
from phonebridge.call.lifecycle import advance
from phonebridge.call.recording import Recording
from phonebridge.call.webhook_delivery import WebhookDelivery
from phonebridge.errors import InvalidTransition, MalformedRequest, UpstreamFailed
from phonebridge.storage.fleet import TaskState
from phonebridge.telnyx.webhook import parse

MESSAGES_PER_ROUND = 100
CALLS_PER_ROUND = 50
EVENTS_PER_CALL = 12
PAUSES_MS = (1_000, 60_000, 60_000, 600_000, 3_600_000, 14_400_000, 14_400_000)
"""Pauses before each sweep. They are longer than any call may last."""
MAX_DELAY_SECONDS, MAX_PAUSE_SECONDS = 900, 43_200
"""Amazon SQS, "DelaySeconds" and "VisibilityTimeout"."""
STATUSES = (200, 200, 204, 301, 404, 410, 429, 500, 503)
JOB = "job-1"
QUEUES = {
    "OUTCOMES_QUEUE_URL": "https://sqs.example/outcomes",
    "RECORDINGS_QUEUE_URL": "https://sqs.example/recordings",
    "RECORDINGS_BUCKET": "recordings",
    "OUTCOME_WEBHOOK_URL": "https://customer.example/calls",
}
_OVER = (CallStatus.ENDED, CallStatus.TRANSFERRED)


def targets() -> Iterator[Target]:
    yield Target("outcome sender", INPUTS, _outcome_sender, "send_outcome")
    yield Target("recording copier", INPUTS, _recording_copier, "copy_recording")
    yield Target("sweep", INPUTS, _sweep, "sweep_calls")


@contextmanager
def _outcome_sender() -> Iterator[Play]:
    sample = {"call_id": ENDED, "job": JOB}
    yield partial(_consume, send_outcome.handler, sample, _announced)


@contextmanager
def _recording_copier() -> Iterator[Play]:
    event = json.loads((ROOT / "events" / "copy_recording.json").read_bytes())
    job = json.loads(event["Records"][0]["body"])
    sample = job | {"call_id": ENDED, "saved": job["saved"] | {"recording_id": "rec-1"}}
    yield partial(_consume, copy_recording.handler, sample, _recorded)


def _announced(plane: ControlPlane) -> None:
    for call_id in (ENDED, LIVE):
        notice = WebhookDelivery(event_id="event-1", changed_at_ms=NOW_MS, job=JOB)
        plane.store.put_webhook_delivery(call_id, notice)


def _recorded(plane: ControlPlane) -> None:
    recording = Recording(recording_id="rec-1", format="mp3", channels="dual", key="recordings/1")
    for call_id in (ENDED, LIVE):
        plane.store.put_recording(call_id, recording)


@dataclass(slots=True)
class _Server:
    """Replaces `PublicHttpsClient`. The HTTP of such servers has a target of its own."""

    chance: Random

    async def post(self, *_: object) -> Any:
        return _Response(self._status())

    async def download(self, url: str, max_bytes: int, write: Callable[[bytes], object]) -> int:
        write(self.chance.randbytes(self.chance.randrange(200)))
        return self._status()

    def _status(self) -> int:
        match self.chance.randrange(10):
            case 0:
                raise UpstreamFailed("planted", retryable=self.chance.random() < 0.5)
            case 1:
                raise TimeoutError
            case _:
                return self.chance.choice(STATUSES)


@dataclass(frozen=True, slots=True)
class _Response:
    status: int


class _Amazon:
    """Replaces the clients of SQS and S3. It refuses what they refuse."""

    def send_message(self, *, MessageBody: str, DelaySeconds: int, **_: object) -> None:
        if not MessageBody or not 0 <= DelaySeconds <= MAX_DELAY_SECONDS:
            raise Broken("a job was queued that SQS refuses")

    def change_message_visibility(self, *, VisibilityTimeout: int, **_: object) -> None:
        if not 0 <= VisibilityTimeout <= MAX_PAUSE_SECONDS:
            raise Broken("a message was delayed longer than SQS allows")

    def upload_fileobj(self, content: Any, *_: object, **__: object) -> None:
        content.read()


@dataclass(slots=True)
class _Faults:
    """Replaces the log of the queues. A message fails that cannot be read, or whose values the
    table refuses. None may fail otherwise."""

    found: list[BaseException] = field(default_factory=list)

    def exception(self, *_: object, **__: object) -> None:
        error = sys.exc_info()[1]
        if error and not isinstance(error, (*UNREADABLE, ClientError)):
            self.found.append(error)


Handler = Callable[[dict[str, Any], object], dict[str, Any]]


def _consume(
    handler: Handler,
    sample: Mapping[str, Any],
    prepare: Callable[[ControlPlane], None],
    chance: Random,
    tally: Tally,
) -> None:
    mutator, faults = Mutator(chance, [json.dumps(sample).encode()]), _Faults()
    with _queues(chance, faults) as plane:
        fill(plane)
        while tally.inputs < MESSAGES_PER_ROUND:
            prepare(plane)
            messages = [_message(number, mutator, chance) for number in range(chance.randint(1, 9))]
            for message in messages:
                tally.count(message["body"].encode())
            left = handler({"Records": messages}, CONTEXT)["batchItemFailures"]
            failed = {each["itemIdentifier"] for each in left}
            if not failed <= {message["messageId"] for message in messages}:
                raise Broken("a message failed that was not in the batch")
            tally.refused += len(failed)
            for error in faults.found:
                raise error


@contextmanager
def _queues(chance: Random, faults: _Faults) -> Iterator[ControlPlane]:
    with ExitStack() as stack:
        stack.enter_context(quiet_logs())
        for owner, name, part in (
            (boto3, "client", lambda *_, **__: _Amazon()),
            (batches, "log", faults),
            (outcome_request, "PublicHttpsClient", lambda _: _Server(chance)),
            (recording_download, "PublicHttpsClient", lambda _: _Server(chance)),
        ):
            stack.enter_context(replaced(owner, name, part))
        yield stack.enter_context(fresh_plane({**ENVIRONMENT, **QUEUES}, lambda: NOW_MS + 90_000))


def _message(number: int, mutator: Mutator, chance: Random) -> dict[str, Any]:
    body = mutator.sample()
    if chance.random() < 0.8:
        body = mutator.mutate(body)
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"handle-{number}",
        "body": body.decode(errors="replace"),
        "attributes": {"ApproximateReceiveCount": str(chance.choice((1, 2, 9, 10, 11, 1_000)))},
        "eventSource": "aws:sqs",
    }


@contextmanager
def _sweep() -> Iterator[Play]:
    with quiet_logs():
        yield _sweeps


@dataclass(slots=True)
class _Clock:
    now_ms: int = NOW_MS

    def sleep(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


def _sweeps(chance: Random, tally: Tally) -> None:
    """Calls whose webhooks were mutated or lost. In the end, no call may still be up."""
    mutator, clock = Mutator(chance, WEBHOOKS), _Clock()
    with (
        replaced(services, "sleep", clock.sleep),
        fresh_plane(ENVIRONMENT, lambda: clock.now_ms) as plane,
    ):
        for number in range(CALLS_PER_ROUND):
            call, last = _odd_call(f"call-{number}", mutator, chance)
            tally.count(last)
            plane.store.create(call, _config(chance))
        for pause_ms in PAUSES_MS:
            clock.now_ms += pause_ms
            _beat(plane, chance)
            found = sweep_calls.handler({}, CONTEXT)
            if found["failed"]:
                raise Broken(f"{found['failed']} calls could not be swept")
        for call in plane.store.possibly_live():
            if call.status not in _OVER:
                raise Broken(f"{call.call_id} is {call.status} after its longest time")


def _config(chance: Random) -> CallConfig:
    fallback = Fallback(say="Goodbye.", transfer_to="+15550177")
    return CallConfig(fallback=fallback if chance.random() < 0.3 else None)


def _beat(plane: ControlPlane, chance: Random) -> None:
    """Some tasks beat, others are silent, full, draining or over."""
    for number in range(4):
        if chance.random() < 0.5:
            state = TaskState(
                f"task-{number}",
                chance.randrange(1_000),
                slots=chance.randrange(3),
                active_calls=chance.randrange(3),
                draining=chance.random() < 0.2,
                list_version=chance.randrange(3),
                is_over=chance.random() < 0.2,
            )
            plane.fleet.beat(state)
            carried = [f"call-{chance.randrange(CALLS_PER_ROUND)}" for _ in range(20)]
            plane.fleet.list_calls(state.task_id, chance.randrange(3), carried)


def _odd_call(call_id: str, mutator: Mutator, chance: Random) -> tuple[Call, bytes]:
    call = Call(
        call_id=call_id,
        direction=chance.choice((Direction.OUTBOUND, Direction.INBOUND)),
        to="+15550100",
        from_="+15550199",
        created_at_ms=NOW_MS,
    )
    call = advance(call, CallRequested(with_stream=chance.random() < 0.3), NOW_MS)
    now_ms, body = NOW_MS, mutator.sample()
    for _ in range(chance.randrange(EVENTS_PER_CALL)):
        now_ms += chance.choice((0, 1, 700, 60_000))
        body = mutator.sample()
        if chance.random() < 0.6:
            body = mutator.mutate(body)
        for event in _events(body, chance, now_ms):
            try:
                call = advance(call, event, now_ms)
            except InvalidTransition:
                continue
    return call, body


def _events(body: bytes, chance: Random, now_ms: int) -> Iterator[CallEvent]:
    match chance.randrange(6):
        case 0:
            yield CallAnswered(LEG, now_ms)
        case 1:
            yield MediaAttached(chance.randint(1, 3), f"task-{chance.randrange(5)}", now_ms)
        case _:
            try:
                event = parse(body, now_ms).event
            except MalformedRequest:
                return
            if event:
                yield event
