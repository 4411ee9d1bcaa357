"""Agents by name, and the agent of each number. They are single items without expiry, in two
partitions, so that both can be listed without a scan."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from phonebridge.call.config import CallConfig, Fallback
from phonebridge.call.tools import Tools
from phonebridge.errors import TooLarge, UnknownAgent, UnknownNumber
from phonebridge.storage.call_items import CONFIG_BYTES_MAX
from phonebridge.storage.secret_cipher import NO_KEY, SecretCipher
from phonebridge.storage.table import ItemKey, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ANY_NUMBER = "default"
"""The agent with this name, if it exists, answers every number without an agent of its own."""

_AGENTS = "AGENTS"
_NUMBERS = "NUMBERS"


@dataclass(frozen=True, slots=True)
class Agent:
    name: str
    overrides: str
    """JSON of the `CallConfig` fields that the author set. All others have their defaults."""
    changed_at_ms: int

    def config(self, **more: Any) -> CallConfig:
        """Return the settings of a call with this agent. `more` overrides them for one call."""
        settings = msgspec.json.decode(self.overrides) | msgspec.to_builtins(more)
        return msgspec.convert(settings | {"agent": self.name}, CallConfig)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One of our numbers and the agent that answers it."""

    number: str
    agent: str
    changed_at_ms: int


class DynamoDirectory:
    """A `ports.Directory`."""

    def __init__(
        self,
        table_name: str,
        client: "DynamoDBClient",
        now_ms: Callable[[], int],
        max_seconds: int,
        cipher: SecretCipher = NO_KEY,
        fallback: Fallback | None = None,
    ) -> None:
        self._table = Table(table_name, client, now_ms)
        self._now_ms = now_ms
        self._max_seconds = max_seconds
        self._cipher = cipher
        self._fallback = fallback

    def put_agent(self, name: str, **overrides: Any) -> Agent:
        """Raises `TooLarge`."""
        json = msgspec.json.encode(overrides)
        if len(json) > CONFIG_BYTES_MAX:
            raise TooLarge(f"An agent may take {CONFIG_BYTES_MAX} bytes; this takes {len(json)}.")
        agent = Agent(name, json.decode(), self._now_ms())
        sealed = _with_tools(agent, self._cipher.encrypt_tools)
        self._table.put(ItemKey(_AGENTS, name), sealed, None)
        return agent

    def agent(self, name: str) -> Agent:
        """Raises `UnknownAgent`, and `NotConfigured` if its secrets cannot be read any more."""
        if agent := self._find(name):
            return agent
        raise UnknownAgent(name)

    def _find(self, name: str) -> Agent | None:
        sealed = self._table.get(ItemKey(_AGENTS, name), Agent)
        return _with_tools(sealed, self._cipher.decrypt_tools) if sealed else None

    def agents(self, after: str | None, limit: int) -> list[Agent]:
        """List agents by name, beginning with the first one after `after`. Their tools' secrets
        stay encrypted."""
        found = self._table.query_after(_AGENTS, after, limit)
        return [stored.read(Agent) for stored in islice(found, limit)]

    def remove_agent(self, name: str) -> None:
        """Raises `UnknownAgent`."""
        if not self._table.remove(ItemKey(_AGENTS, name)):
            raise UnknownAgent(name)

    def assign(self, number: str, agent: str) -> Assignment:
        assignment = Assignment(number, agent, self._now_ms())
        self._table.put(ItemKey(_NUMBERS, number), assignment, None)
        return assignment

    def assignment(self, number: str) -> Assignment:
        """Raises `UnknownNumber`."""
        if assignment := self._table.get(ItemKey(_NUMBERS, number), Assignment):
            return assignment
        raise UnknownNumber(number)

    def assignments(self, after: str | None, limit: int) -> list[Assignment]:
        """List assignments by number, beginning with the first one after `after`."""
        found = self._table.query_after(_NUMBERS, after, limit)
        return [stored.read(Assignment) for stored in islice(found, limit)]

    def numbers_of(self, agent: str) -> list[str]:
        every = (stored.read(Assignment) for stored in self._table.partition(_NUMBERS))
        return [each.number for each in every if each.agent == agent]

    def unassign(self, number: str) -> None:
        """Raises `UnknownNumber`."""
        if not self._table.remove(ItemKey(_NUMBERS, number)):
            raise UnknownNumber(number)

    def answering(self, number: str) -> CallConfig | None:
        # A number keeps its agent. If that agent was deleted, no other one answers instead.
        assigned = self._table.get(ItemKey(_NUMBERS, number), Assignment) if number else None
        name = assigned.agent if assigned else ANY_NUMBER
        agent = self._find(name)
        if agent is None:
            return None
        return agent.config().limited_to(self._max_seconds).with_fallback(self._fallback)


def _with_tools(agent: Agent, change: Callable[[Tools], Tools]) -> Agent:
    overrides = msgspec.json.decode(agent.overrides)
    if "tools" not in overrides:
        return agent
    overrides["tools"] = change(msgspec.convert(overrides["tools"], Tools))
    return replace(agent, overrides=msgspec.json.encode(overrides).decode())
