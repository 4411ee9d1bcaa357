"""Composition root of the media container: settings, clients, server.

SIGTERM drains: no new calls, the present ones may end. SIGINT ends them at once.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
import uuid
from types import FrameType

import boto3
import uvicorn
import uvloop

from media_bridge.app import create_app
from media_bridge.session import Services
from media_bridge.task import DRAIN_SECONDS, MediaTask
from phonebridge.errors import NotConfigured
from phonebridge.log import logger
from phonebridge.mailbox import DynamoMailbox
from phonebridge.settings import MediaSettings
from phonebridge.store import DynamoCallStore
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.client import TelnyxClient

LARGEST_FRAME_BYTES = 1024 * 1024
"""The longest message Telnyx may send or take, 30 s of G.711 in base64, is a third of it."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def media_task(settings: MediaSettings) -> MediaTask:
    log = logger("media-bridge")
    dynamodb = boto3.client("dynamodb")
    store = DynamoCallStore(settings.calls_table, dynamodb, now_ms)
    carrier = TelnyxClient(settings.telnyx_api_base, settings.telnyx_api_key, None, now_ms=now_ms)
    switchboard = Switchboard(store, carrier, now_ms, log)
    services = Services(settings, store, switchboard, log, now_ms)
    mailbox = DynamoMailbox(settings.calls_table, dynamodb, now_ms)
    return MediaTask(f"task-{uuid.uuid4()}", services, mailbox)


class DrainingServer(uvicorn.Server):
    """Uvicorn closes every WebSocket as soon as it is told to exit; calls come first here."""

    def __init__(self, config: uvicorn.Config, task: MediaTask) -> None:
        super().__init__(config)
        self._task = task
        self._asked: asyncio.Queue[float] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        patience = DRAIN_SECONDS if sig == signal.SIGTERM else 0.0
        self._loop.call_soon_threadsafe(self._asked.put_nowait, patience)

    async def run_until_drained(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(self._drain())
            await self.serve()
            draining.cancel()

    async def _drain(self) -> None:
        await self._task.drain(await self._asked.get())
        self.should_exit = True


async def serve(settings: MediaSettings, host: str, port: int) -> None:
    task = media_task(settings)
    config = uvicorn.Config(
        create_app(task),
        host=host,
        port=port,
        ws="websockets-sansio",
        ws_max_size=LARGEST_FRAME_BYTES,
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
    )
    await DrainingServer(config, task).run_until_drained()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m media_bridge", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    try:
        settings = MediaSettings.from_env(os.environ)
    except NotConfigured as error:
        sys.exit(f"media_bridge: {error}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, options.host, options.port))


if __name__ == "__main__":
    main()
