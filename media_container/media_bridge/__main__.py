"""Composition root of the media container: settings, clients, server.

SIGTERM drains: no new calls, the present ones may end. SIGINT ends them with a goodbye, a second
one without. Before the server is up, either ends the process at once.
"""

import os
import signal

if __name__ == "__main__":
    # In a container this process is PID 1, for which Linux ignores signals without a handler. The
    # imports below take seconds on a slow CPU.
    for _number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(_number, lambda *_: os._exit(0))

import argparse
import asyncio
import gc
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import uvloop
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from media_bridge.openai.client import OpenAIRealtime
from media_bridge.runtime.draining import METADATA_VARIABLE, EcsTask, wait_until_draining
from media_bridge.runtime.hangups import Hangups
from media_bridge.runtime.mailbox_poll import MailboxPoll
from media_bridge.runtime.mailbox_reader import MailboxReader
from media_bridge.runtime.metrics import WorkerMetrics
from media_bridge.runtime.rescues import MAX_THREADS, Rescues
from media_bridge.runtime.retries import RetryPauses
from media_bridge.runtime.server import run_server
from media_bridge.runtime.services import Services
from media_bridge.runtime.speech_cache import SpeechCache
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.tool_runner import ToolRunner
from media_bridge.runtime.turn_writer import TurnWriter
from media_bridge.runtime.worker import MediaWorker, new_task_id
from phonebridge.errors import NotConfigured
from phonebridge.http.public_client import PublicHttpsClient
from phonebridge.http.signature import derive_secret
from phonebridge.jobs import JobQueue
from phonebridge.observability.log import logger
from phonebridge.observability.tracing import Collector, TracedCarrier, Tracer
from phonebridge.outcomes import OutcomeAnnouncer
from phonebridge.secrets import fetch_secret, with_secrets
from phonebridge.settings import MediaSettings
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.dynamodb import dynamodb_access, dynamodb_client, heartbeat_client
from phonebridge.storage.fleet import DynamoFleet
from phonebridge.storage.mailbox import DynamoMailbox
from phonebridge.storage.secret_cipher import SecretCipher
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.call_control import CallControlConfig
from phonebridge.telnyx.client import TelnyxClient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIBRARIES = ("asyncio", "botocore", "picows", "urllib3")
"""Libraries that log errors which they catch themselves: a broken frame, a repeated connection."""

SHARED_THREADS = 4 + MAX_THREADS
"""Threads of all calls together that use DynamoDB: for turns, the mailbox, the list of the calls,
the calls of a task that was found dead, and their rescue."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def media_worker(settings: MediaSettings, collector: Collector | None) -> MediaWorker:
    log = _log()
    dynamodb = dynamodb_client(settings.max_calls_per_task + SHARED_THREADS)
    cipher = SecretCipher(settings.stream_token_secret)
    mailbox = DynamoMailbox(settings.calls_table, dynamodb, now_ms, cipher)
    tracer = Tracer("phonebridge media-bridge", collector, log, now_ms)
    store = DynamoCallStore(settings.calls_table, dynamodb, now_ms, cipher)
    services = _services(settings, dynamodb, store, mailbox, tracer, log)
    fleet = DynamoFleet(settings.calls_table, dynamodb, now_ms)
    heartbeats = DynamoFleet(settings.calls_table, heartbeat_client(), now_ms)
    poll = MailboxPoll(dynamodb_access(dynamodb), lambda: mailbox.count_query(worker.task_id))
    reader = MailboxReader(mailbox, poll, log)
    worker = MediaWorker(new_task_id(), services, reader, fleet, heartbeats)
    return worker


def _log() -> Logger:
    log = logger("media-bridge")
    for library in LIBRARIES:
        logging.getLogger(library).addHandler(log.registered_handler)
    return log


def _services(
    settings: MediaSettings,
    dynamodb: "DynamoDBClient",
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
    tracer: Tracer,
    log: Logger,
) -> Services:
    carrier = TracedCarrier(_telnyx_client(settings), tracer)
    hangup_threads = Threads("hangup", settings.max_calls_per_task)
    pauses, model = RetryPauses(), OpenAIRealtime(settings)
    announce = _outcomes(settings, store).announce_browser_call
    switchboard = Switchboard(store, carrier, mailbox, now_ms, log, tracer.record, announce)
    turns = TurnWriter(store, log, pauses)
    return Services(
        settings=settings,
        store=store,
        switchboard=switchboard,
        model=model,
        log=log,
        turn_writer=turns,
        now_ms=now_ms,
        tracer=tracer,
        speech_cache=SpeechCache(settings, model, dynamodb, now_ms),
        tool_runner=_tool_runner(settings, log),
        threads=Threads("call", settings.max_calls_per_task),
        metrics=WorkerMetrics(settings.metrics_namespace),
        pauses=pauses,
        hangups=Hangups(carrier, log, pauses, hangup_threads),
        rescues=Rescues(store, switchboard, turns, log, now_ms),
    )


def _outcomes(settings: MediaSettings, store: DynamoCallStore) -> OutcomeAnnouncer:
    queue = JobQueue(settings.outcomes_queue_url)
    return OutcomeAnnouncer(store, queue, settings.outcome_webhook_url, now_ms)


def _telnyx_client(settings: MediaSettings) -> TelnyxClient:
    return TelnyxClient(
        settings.telnyx_api_base,
        settings.telnyx_api_key,
        _call_control(settings),
        now_ms=now_ms,
        max_connections=2 * settings.max_calls_per_task + MAX_THREADS,
    )


def _tool_runner(settings: MediaSettings, log: Logger) -> ToolRunner:
    secret = settings.tool_signing_secret or derive_secret(settings.stream_token_secret, "tools")
    return ToolRunner(secret, PublicHttpsClient(settings.tool_hosts_allowed), log, now_ms)


def _call_control(settings: MediaSettings) -> CallControlConfig | None:
    if not settings.media_public_url:
        return None
    return CallControlConfig(
        media_url=settings.media_public_url,
        stream_token_secret=settings.stream_token_secret,
        connection_id=settings.telnyx_connection_id,
        webhook_url=f"{settings.base_public_url}/webhooks/telnyx",
    )


async def read_environment() -> Mapping[str, str]:
    """Set up the process to end at a signal, whatever it waits for until the server is up. Secrets
    are fetched in a thread: a name look-up, for example, delays signals in its own thread."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 0)
    return await asyncio.to_thread(with_secrets, os.environ, fetch_secret)


async def serve(
    settings: MediaSettings,
    collector: Collector | None,
    host: str,
    port: int,
    ecs_task: EcsTask | None = None,
) -> None:
    worker = media_worker(settings, collector)
    loop = asyncio.get_running_loop()
    end_requested: asyncio.Future[float] = loop.create_future()

    def end(timeout_seconds: float) -> None:
        if not end_requested.done():
            end_requested.set_result(timeout_seconds)
        else:
            worker.cut_drain_short(timeout_seconds)

    async with worker.running(), run_server(worker, host, port), asyncio.TaskGroup() as watches:
        loop.add_signal_handler(signal.SIGTERM, end, worker.drain_times.calls_seconds)
        loop.add_signal_handler(signal.SIGINT, end, 0.0)
        _freeze_imports()
        watching = watches.create_task(_watch_ecs(ecs_task, worker, end)) if ecs_task else None
        await worker.drain(await end_requested)
        if watching:
            watching.cancel()


def _freeze_imports() -> None:
    """Exempt the imported modules from garbage collection. Otherwise each full collection visits
    them again and delays every call by 60 to 90 ms."""
    gc.collect()
    gc.freeze()


async def _watch_ecs(ecs_task: EcsTask, worker: MediaWorker, end: Callable[[float], None]) -> None:
    services = worker.services
    await wait_until_draining(ecs_task, services.log)
    end(services.settings.max_call_minutes * 60.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m media_bridge", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            environ = runner.run(read_environment())
            settings = MediaSettings.from_env(environ)
            collector = Collector.from_env(environ)
        except (NotConfigured, BotoCoreError, ClientError) as error:
            sys.exit(f"media_bridge: {error}")
        metadata_url = os.environ.get(METADATA_VARIABLE)
        ecs_task = EcsTask(metadata_url) if metadata_url else None
        runner.run(serve(settings, collector, options.host, options.port, ecs_task))


if __name__ == "__main__":
    main()
