"""Finds out whether ECS is taking this task away.

A task that is replaced or scaled in leaves the load balancer at once, but gets its SIGTERM only
when the deregistration delay is over, an hour later. Until then it would report free slots that no
call can reach. Therefore it asks.
"""

import asyncio
import json
import urllib.request
from dataclasses import dataclass
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from media_bridge.runtime.threads import Threads

METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
"""Set by ECS (Amazon ECS, "Task metadata endpoint version 4")."""
POLL_SECONDS = 30.0
TIMEOUT_SECONDS = 5
STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class TaskName:
    cluster: str
    arn: str


class EcsTask:
    """This task, as ECS sees it."""

    def __init__(self, metadata_url: str) -> None:
        self._metadata_url = metadata_url
        self._name: TaskName | None = None
        self._ecs: Any = None

    def is_draining(self) -> bool:
        """Return whether ECS wants the task stopped. This blocks. ECS wants it stopped from the
        moment it is deregistered (Amazon ECS, "Task lifecycle": DEACTIVATING)."""
        if self._name is None:
            self._name = self._read_name()
            limits = Config(
                connect_timeout=TIMEOUT_SECONDS,
                read_timeout=TIMEOUT_SECONDS,
                retries={"total_max_attempts": 1},
            )
            self._ecs = boto3.client("ecs", config=limits)
        found = self._ecs.describe_tasks(cluster=self._name.cluster, tasks=[self._name.arn])
        return any(task.get("desiredStatus") == STOPPED for task in found.get("tasks", []))

    def _read_name(self) -> TaskName:
        url = f"{self._metadata_url}/task"
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            described = json.load(answer)
        return TaskName(described["Cluster"], described["TaskARN"])


async def wait_until_draining(
    task: EcsTask, log: Logger, poll_seconds: float = POLL_SECONDS
) -> None:
    """Return once ECS takes the task away. ECS may fail to answer: SIGTERM comes in any case."""
    threads = Threads("draining", 1)
    while True:
        try:
            if await threads.run(task.is_draining):
                return
        except (OSError, ValueError, KeyError, BotoCoreError, ClientError) as error:
            log.warning("state of the task unknown", reason=str(error))
        await asyncio.sleep(poll_seconds)
