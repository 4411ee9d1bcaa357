"""Two sides of a mailbox: a Lambda that posts, a container that collects."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from phonebridge.call.config import TurnDetection
from phonebridge.call.steering import (
    Answered,
    Interrupt,
    Mute,
    Say,
    SayGoodbye,
    Side,
    StartTransfer,
    Steering,
    TransferFinished,
    Update,
)
from phonebridge.call.tools import BuiltIn, HttpsFunction, Tools
from phonebridge.storage.mailbox import COMMAND_SECONDS, DynamoMailbox
from phonebridge.storage.table import ItemKey, Table
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_a_command_waits_until_it_is_acknowledged(mailbox: DynamoMailbox) -> None:
    mailbox.post("task-1", "call-1", Interrupt())
    [posted] = mailbox.collect("task-1")
    assert (posted.call_id, posted.command) == ("call-1", Interrupt())
    assert mailbox.collect("task-1") == [posted]
    mailbox.acknowledge("task-1", posted)
    assert mailbox.collect("task-1") == []


def test_commands_come_oldest_first(mailbox: DynamoMailbox, clock: Clock) -> None:
    for number in range(12):
        mailbox.post("task-1", f"call-{number}", Interrupt())
        clock.pass_seconds(0.25)
    calls = [posted.call_id for posted in mailbox.collect("task-1")]
    assert calls == [f"call-{number}" for number in range(12)]


def test_a_task_sees_its_own_commands_alone(mailbox: DynamoMailbox) -> None:
    mailbox.post("task-2", "call-1", Interrupt())
    assert mailbox.collect("task-1") == []


def test_an_acknowledgement_can_be_repeated(mailbox: DynamoMailbox) -> None:
    mailbox.post("task-1", "call-1", Interrupt())
    [posted] = mailbox.collect("task-1")
    for _ in range(2):  # the answer to the first one may get lost
        mailbox.acknowledge("task-1", posted)
    assert mailbox.collect("task-1") == []


def test_a_late_command_is_not_carried_out(mailbox: DynamoMailbox, clock: Clock) -> None:
    mailbox.post("task-1", "call-1", Interrupt())
    clock.pass_seconds(COMMAND_SECONDS)
    assert mailbox.collect("task-1") == []


@dataclass(frozen=True)
class StoredByAnother:
    call_id: str
    command: str
    arguments: str


def test_commands_of_a_newer_version_are_passed_over(
    mailbox: DynamoMailbox, client: "DynamoDBClient", table_name: str, clock: Clock
) -> None:
    newer = Table(table_name, client, clock)
    unknown = StoredByAnother("call-1", "Sing", '{"song": "any"}')
    changed = StoredByAnother("call-1", "Interrupt", "[]")
    newer.put(ItemKey("TASK#task-1", "CMD#1"), unknown, COMMAND_SECONDS)
    no_json = StoredByAnother("call-1", "Interrupt", "{")
    too_deep = StoredByAnother("call-1", "Interrupt", '{"a":' * 50_000 + "1" + "}" * 50_000)
    newer.put(ItemKey("TASK#task-1", "CMD#2"), changed, COMMAND_SECONDS)
    newer.put(ItemKey("TASK#task-1", "CMD#3"), no_json, COMMAND_SECONDS)
    newer.put(ItemKey("TASK#task-1", "CMD#4"), too_deep, COMMAND_SECONDS)
    mailbox.post("task-1", "call-2", Interrupt())
    assert [posted.call_id for posted in mailbox.collect("task-1")] == ["call-2"]


@pytest.mark.parametrize(
    "command",
    [
        Say(words="Hello", interrupt=True),
        Update(
            instructions="Speak German.",
            turn_detection=TurnDetection("semantic_vad"),
            tools=Tools(
                functions=(HttpsFunction(name="look_up", url="https://example.com/"),),
                built_in=(BuiltIn.END_CALL,),
            ),
        ),
        Mute(Side.CALLER, True),
        StartTransfer(to="+15550142", summary="A caller from Ulm."),
        SayGoodbye("Goodbye!"),
        Answered(),
        TransferFinished(None),
    ],
)
def test_a_command_arrives_as_it_was_posted(mailbox: DynamoMailbox, command: Steering) -> None:
    mailbox.post("task-1", "call-1", command)
    assert [posted.command for posted in mailbox.collect("task-1")] == [command]
