"""Each command is carried out once, whichever of the requests to the table fail."""

from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.runtime.mailbox_reader import MailboxReader
from phonebridge.call.steering import Interrupt
from phonebridge.observability.log import logger
from phonebridge.storage.mailbox import DynamoMailbox, Posted


@dataclass
class Session:
    """Counts the messages that it receives."""

    told: int = 0

    def dispatch(self, event: object) -> None:
        self.told += 1


@dataclass
class FlakyMailbox:
    """A request may fail before or after it had its effect. Old reads may come back."""

    waiting: list[Posted]
    faults: Any
    old: list[Posted] = field(default_factory=list)

    def collect(self, task_id: str) -> list[Posted]:
        fault = next(self.faults)
        if fault in ("before", "after"):
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
        return list(self.old if fault == "stale" else self.waiting)

    def acknowledge(self, task_id: str, posted: Posted) -> None:
        fault = next(self.faults)
        if fault == "before":
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
        self.waiting = [each for each in self.waiting if each != posted]
        if fault == "after":
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")


def message(number: int, call_id: str = "call-1") -> Posted:
    return Posted(f"{number:013d}-x", call_id, Interrupt())


FAULTS = st.lists(st.sampled_from(["", "before", "after", "stale"]), max_size=30)


@given(st.integers(1, 4), FAULTS)
async def test_every_command_is_carried_out_once(count: int, faults: list[str]) -> None:
    commands = [message(number) for number in range(count)]
    box = FlakyMailbox(list(commands), chain(faults, repeat("")), old=list(commands))
    session: Any = Session()
    reader = MailboxReader(box, None, logger("mailbox"))  # type: ignore[arg-type]
    for _ in range(len(faults) + 2):
        await reader.read("task-1", {"call-1": session})
    assert session.told == count
    assert box.waiting == []


async def test_a_command_waits_for_its_call(mailbox: DynamoMailbox) -> None:
    session: Any = Session()
    reader = MailboxReader(mailbox, None, logger("mailbox"))  # type: ignore[arg-type]
    mailbox.post("task-1", "call-1", Interrupt())
    await reader.read("task-1", {"another": session})
    assert len(mailbox.collect("task-1")) == 1
    await reader.read("task-1", {"call-1": session})
    assert (session.told, mailbox.collect("task-1")) == (1, [])


async def test_what_was_carried_out_is_forgotten_once_it_has_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("media_bridge.runtime.mailbox_reader.MEMORY_SECONDS", -1.0)
    box = FlakyMailbox([], repeat(""))
    session: Any = Session()
    reader = MailboxReader(box, None, logger("mailbox"))  # type: ignore[arg-type]
    for number in range(50):
        box.waiting = [message(number)]
        await reader.read("task-1", {"call-1": session})
    assert len(reader._done) == 1
