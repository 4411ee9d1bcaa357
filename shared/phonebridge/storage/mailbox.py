"""Commands from Lambdas to the media container that carries a call. They go through DynamoDB, and
the container polls, because Lambdas cannot address a single task."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import msgspec

from phonebridge.call.steering import Steering, Update
from phonebridge.errors import NotConfigured
from phonebridge.storage.secret_cipher import NO_KEY, SecretCipher
from phonebridge.storage.table import ItemKey, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

COMMAND_SECONDS = 60  # nobody wants to be interrupted a minute late

_COMMANDS: dict[str, type[Steering]] = {kind.__name__: kind for kind in get_args(Steering)}


@dataclass(frozen=True, slots=True)
class Posted:
    """A command in a task's mailbox. Ids sort by time."""

    command_id: str
    call_id: str
    command: Steering


@dataclass(frozen=True, slots=True)
class _StoredCommand:
    call_id: str
    command: str
    arguments: str


class DynamoMailbox:
    def __init__(
        self,
        table_name: str,
        client: "DynamoDBClient",
        now_ms: Callable[[], int],
        cipher: SecretCipher = NO_KEY,
    ) -> None:
        self._table_name = table_name
        self._table = Table(table_name, client, now_ms)
        self._now_ms = now_ms
        self._cipher = cipher

    def post(self, task_id: str, call_id: str, command: Steering, key: str = "") -> None:
        """Post a command. A repetition with the same key adds nothing. Without a key, every message
        is new."""
        command_id = key or f"{self._now_ms():013d}-{uuid.uuid4().hex}"
        if isinstance(command, Update) and command.tools:
            command = replace(command, tools=self._cipher.encrypt_tools(command.tools))
        stored = _StoredCommand(
            call_id, type(command).__name__, msgspec.json.encode(command).decode()
        )
        self._table.put_if_absent(_command_key(task_id, command_id), stored, COMMAND_SECONDS)

    def collect(self, task_id: str) -> list[Posted]:
        """Return the waiting commands, oldest first. They stay until they are acknowledged."""
        waiting = []
        for stored in self._table.query_prefix(_pk(task_id), "CMD#"):
            item = stored.read(_StoredCommand)
            if command := self._decode(item):
                command_id = stored.sk.removeprefix("CMD#")
                waiting.append(Posted(command_id, item.call_id, command))
        return waiting

    def count_query(self, task_id: str) -> bytes:
        """Return the body of a DynamoDB query that counts the waiting commands. Expired commands
        are left out, even if the table still has them."""
        oldest_ms = self._now_ms() - 2 * COMMAND_SECONDS * 1000  # a Lambda's clock may be another
        between = {":pk": _pk(task_id), ":oldest": f"CMD#{oldest_ms:013d}", ":newest": "CMD#~"}
        query = {
            "TableName": self._table_name,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :oldest AND :newest",
            "ExpressionAttributeValues": {name: {"S": key} for name, key in between.items()},
            "Select": "COUNT",
        }
        return msgspec.json.encode(query)

    def acknowledge(self, task_id: str, posted: Posted) -> None:
        """Delete a command that has been carried out."""
        self._table.remove(_command_key(task_id, posted.command_id))

    def _decode(self, item: _StoredCommand) -> Steering | None:
        """Decode a command. Return None for a command of a newer version or with another key,
        because the Lambdas may be ahead during a deployment."""
        try:
            command = msgspec.json.decode(item.arguments, type=_COMMANDS[item.command])
            if isinstance(command, Update) and command.tools:
                return replace(command, tools=self._cipher.decrypt_tools(command.tools))
        except (KeyError, RecursionError, msgspec.DecodeError, NotConfigured):
            return None
        return command


def _pk(task_id: str) -> str:
    return f"TASK#{task_id}"


def _command_key(task_id: str, command_id: str) -> ItemKey:
    return ItemKey(_pk(task_id), f"CMD#{command_id}")
