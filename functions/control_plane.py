"""Composition root of the Lambdas: the parts that all handlers share, built once per process."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from admission import Admission
from directory import Directory
from errands import Errands
from outcomes import Outcomes
from phonebridge.aws import dynamodb_client
from phonebridge.call import LONGEST_CALL_ID, Call
from phonebridge.errors import UnknownCall
from phonebridge.fleet import DynamoFleet
from phonebridge.log import logger
from phonebridge.mailbox import DynamoMailbox
from phonebridge.secrets import fetch_secret, with_secrets
from phonebridge.settings import ControlSettings
from phonebridge.store import CallRecord, DynamoCallStore
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.call_control import Line
from phonebridge.telnyx.client import TelnyxClient
from phonebridge.tracing import Collector, TracedCarrier, Tracer
from recordings import Recordings

Found = TypeVar("Found")

log = logger("control-plane")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    settings: ControlSettings
    store: DynamoCallStore
    mailbox: DynamoMailbox
    fleet: DynamoFleet
    admission: Admission
    directory: Directory
    recordings: Recordings
    outcomes: Outcomes
    switchboard: Switchboard
    tracer: Tracer
    now_ms: Callable[[], int]

    @property
    def longest_seconds(self) -> int:
        return self.settings.max_call_minutes * 60

    def call(self, call_id: str) -> Call:
        """Raises `UnknownCall`, as does `record`."""
        return _found(call_id, self.store.load)

    def record(self, call_id: str) -> CallRecord:
        return _found(call_id, self.store.record)


def _found(call_id: str, look_up: Callable[[str], Found | None]) -> Found:
    found = look_up(call_id) if len(call_id) <= LONGEST_CALL_ID else None
    if found is None:
        raise UnknownCall(call_id)
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@cache
def control_plane() -> ControlPlane:
    """Raises `NotConfigured`, and tries again the next time."""
    return _built(with_secrets(os.environ, fetch_secret), now_ms)


def _built(environ: Mapping[str, str], now_ms: Callable[[], int]) -> ControlPlane:
    settings = ControlSettings.from_env(environ)
    dynamodb = dynamodb_client()
    store = DynamoCallStore(settings.calls_table, dynamodb, now_ms)
    fleet = DynamoFleet(settings.calls_table, dynamodb, now_ms)
    line = Line(
        connection_id=settings.telnyx_connection_id,
        webhook_url=f"{settings.base_public_url}/webhooks/telnyx",
        media_url=settings.media_public_url,
        stream_token_secret=settings.stream_token_secret,
    )
    telnyx = TelnyxClient(settings.telnyx_api_base, settings.telnyx_api_key, line, now_ms=now_ms)
    mailbox = DynamoMailbox(settings.calls_table, dynamodb, now_ms)
    outcomes = Outcomes(
        store, Errands(settings.outcomes_queue_url), settings.outcome_webhook_url, now_ms
    )
    tracer = Tracer("phonebridge control-plane", Collector.from_env(environ), log, now_ms)
    return ControlPlane(
        settings=settings,
        store=store,
        mailbox=mailbox,
        fleet=fleet,
        admission=Admission(fleet, now_ms),
        directory=Directory(settings.calls_table, dynamodb, now_ms, settings.max_call_minutes * 60),
        recordings=Recordings(
            store,
            settings.recordings_bucket,
            Errands(settings.recordings_queue_url),
            settings.telnyx_api_base,
            now_ms,
        ),
        outcomes=outcomes,
        switchboard=Switchboard(
            store,
            TracedCarrier(telnyx, tracer),
            mailbox,
            now_ms,
            log,
            tracer.record,
            outcomes.announce,
        ),
        tracer=tracer,
        now_ms=now_ms,
    )
