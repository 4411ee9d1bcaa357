"""Composition root of the Lambdas: the parts that all handlers share, built once per process."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

from control_plane.admission import Admission
from control_plane.agent_directory import DynamoDirectory
from control_plane.call_limits import CallLimits
from control_plane.limits import Limits
from control_plane.outcome_webhook import OutcomeWebhooks
from control_plane.recordings import RecordingArchive
from control_plane.task_sweep import TaskSweep
from phonebridge.call.call import MAX_CALL_ID_LENGTH, Call, Direction
from phonebridge.call.config import Fallback
from phonebridge.errors import UnknownCall
from phonebridge.jobs import JobQueue
from phonebridge.observability.log import logger
from phonebridge.observability.tracing import Collector, TracedCarrier, Tracer
from phonebridge.secrets import fetch_secret, with_secrets
from phonebridge.settings import ControlSettings
from phonebridge.storage.call_store import CallRecord, DynamoCallStore
from phonebridge.storage.dynamodb import dynamodb_client
from phonebridge.storage.fleet import DynamoFleet
from phonebridge.storage.mailbox import DynamoMailbox
from phonebridge.storage.secret_cipher import SecretCipher
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.call_control import CallControlConfig
from phonebridge.telnyx.client import TelnyxClient

Found = TypeVar("Found")

log = logger("control-plane")
sleep = time.sleep


@dataclass(frozen=True, slots=True)
class ControlPlane:
    settings: ControlSettings
    store: DynamoCallStore
    mailbox: DynamoMailbox
    fleet: DynamoFleet
    admission: Admission
    task_sweep: TaskSweep
    limits: CallLimits
    directory: DynamoDirectory
    recordings: RecordingArchive
    outcome_webhooks: OutcomeWebhooks
    switchboard: Switchboard
    tracer: Tracer
    now_ms: Callable[[], int]
    fallback: Fallback | None
    """The fallback for calls that have none of their own."""

    @property
    def max_call_seconds(self) -> int:
        return self.settings.max_call_minutes * 60

    def call(self, call_id: str) -> Call:
        """Raises `UnknownCall`, as does `record`."""
        return _require(call_id, self.store.load)

    def record(self, call_id: str) -> CallRecord:
        return _require(call_id, self.store.record)


def _require(call_id: str, look_up: Callable[[str], Found | None]) -> Found:
    found = look_up(call_id) if len(call_id) <= MAX_CALL_ID_LENGTH else None
    if found is None:
        raise UnknownCall(call_id)
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _on_ended(call: Call, fleet: DynamoFleet, outcomes: OutcomeWebhooks) -> None:
    """Release the call's place and announce the end. This is repeated whenever something happens to
    an ended call."""
    is_reserved = call.is_browser_call or (call.direction is Direction.OUTBOUND and call.leg)
    if is_reserved and not call.attached_stream:
        fleet.release(call)  # no container has taken the call, so none will release its place
    outcomes.announce(call)


@cache
def control_plane() -> ControlPlane:
    """Build the services once. Raises `NotConfigured`, and tries again at the next request."""
    return _build(with_secrets(os.environ, fetch_secret), now_ms)


def _build(environ: Mapping[str, str], now_ms: Callable[[], int]) -> ControlPlane:
    settings = ControlSettings.from_env(environ)
    table, dynamodb = settings.calls_table, dynamodb_client()
    cipher = SecretCipher(settings.stream_token_secret)
    store = DynamoCallStore(table, dynamodb, now_ms, cipher)
    fleet = DynamoFleet(table, dynamodb, now_ms)
    mailbox = DynamoMailbox(table, dynamodb, now_ms, cipher)
    outcomes, fallback = _outcome_webhooks(settings, store, now_ms), _fallback(settings)
    tracer = Tracer("phonebridge control-plane", Collector.from_env(environ), log, now_ms)
    carrier = TracedCarrier(_telnyx_client(settings, now_ms), tracer)
    on_ended = partial(_on_ended, fleet=fleet, outcomes=outcomes)
    return ControlPlane(
        settings=settings,
        store=store,
        mailbox=mailbox,
        fleet=fleet,
        admission=Admission(fleet, now_ms),
        task_sweep=TaskSweep(fleet, now_ms, log, sleep),
        limits=CallLimits(_limits(settings), store, table, dynamodb, now_ms),
        directory=DynamoDirectory(
            table, dynamodb, now_ms, settings.max_call_minutes * 60, cipher, fallback
        ),
        recordings=_recording_archive(settings, store, now_ms),
        outcome_webhooks=outcomes,
        switchboard=Switchboard(store, carrier, mailbox, now_ms, log, tracer.record, on_ended),
        tracer=tracer,
        now_ms=now_ms,
        fallback=fallback,
    )


def _fallback(settings: ControlSettings) -> Fallback | None:
    say, transfer_to = settings.fallback_say or None, settings.fallback_transfer_to or None
    return Fallback(say=say, transfer_to=transfer_to) if say or transfer_to else None


def _telnyx_client(settings: ControlSettings, now_ms: Callable[[], int]) -> TelnyxClient:
    control = CallControlConfig(
        connection_id=settings.telnyx_connection_id,
        webhook_url=f"{settings.base_public_url}/webhooks/telnyx",
        media_url=settings.media_public_url,
        stream_token_secret=settings.stream_token_secret,
    )
    return TelnyxClient(settings.telnyx_api_base, settings.telnyx_api_key, control, now_ms=now_ms)


def _outcome_webhooks(
    settings: ControlSettings, store: DynamoCallStore, now_ms: Callable[[], int]
) -> OutcomeWebhooks:
    queue = JobQueue(settings.outcomes_queue_url)
    return OutcomeWebhooks(store, queue, settings.outcome_webhook_url, now_ms)


def _recording_archive(
    settings: ControlSettings, store: DynamoCallStore, now_ms: Callable[[], int]
) -> RecordingArchive:
    queue = JobQueue(settings.recordings_queue_url)
    return RecordingArchive(
        store, settings.recordings_bucket, queue, settings.telnyx_api_base, now_ms
    )


def _limits(settings: ControlSettings) -> Limits:
    return Limits(
        concurrent_calls=settings.max_concurrent_calls or None,
        calls_per_day=settings.max_calls_per_day or None,
        minutes_per_day=settings.max_minutes_per_day or None,
    )
