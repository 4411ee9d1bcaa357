"""A task that ECS takes away finds out, long before it gets a signal."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from aws_lambda_powertools import Logger

from media_bridge.runtime.draining import EcsTask, wait_until_draining
from tests.support.aws_account import aws_account
from tests.support.aws_front import AwsFront
from tests.support.doctor_setups import House, opened

DESCRIBE = "ecs:DescribeTasks"
ARN = "arn:aws:ecs:us-east-1:123456789012:task/media/1"
METADATA = json.dumps({"Cluster": "media", "TaskARN": ARN, "DesiredStatus": "RUNNING"}).encode()


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_account(dynamodb_address) as front:
        yield front


@pytest.fixture
def metadata() -> Iterator[House]:
    house = House(media=(200, METADATA))
    with opened(house):
        yield house


@pytest.fixture
def task(metadata: House) -> EcsTask:
    return EcsTask(f"http://127.0.0.1:{metadata.port}/v4/1")


def description(desired_status: str) -> bytes:
    return json.dumps({"tasks": [{"taskArn": ARN, "desiredStatus": desired_status}]}).encode()


@pytest.mark.parametrize(("desired_status", "is_draining"), [("RUNNING", False), ("STOPPED", True)])
def test_a_task_drains_once_ecs_wants_it_stopped(
    front: AwsFront, task: EcsTask, desired_status: str, is_draining: bool
) -> None:
    front.answer_always(DESCRIBE, description(desired_status))
    assert task.is_draining() is is_draining


def test_a_task_that_ecs_does_not_know_is_not_draining(front: AwsFront, task: EcsTask) -> None:
    front.answer_always(DESCRIBE, b'{"tasks": [], "failures": [{"reason": "MISSING"}]}')
    assert not task.is_draining()


async def test_ecs_is_asked_until_it_says_so_whatever_goes_wrong_between(
    front: AwsFront, task: EcsTask, metadata: House
) -> None:
    metadata.media = (500, b"")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait_until_draining(task, Logger("test"), poll_seconds=0.01))
        await asyncio.to_thread(_until_refused, metadata)
        front.answer_once(DESCRIBE, b'{"__type": "ServerException"}', 500)
        front.answer_once(DESCRIBE, description("RUNNING"))
        front.answer_always(DESCRIBE, description("STOPPED"))
        metadata.media = (200, METADATA)
    assert front.asked.count(DESCRIBE) == 3


def _until_refused(metadata: House) -> None:
    assert metadata.asked.wait(10)
