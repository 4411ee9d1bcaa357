"""Which ends of calls a container announces itself."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from phonebridge.call.call import Call, EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.events import BrowserCallRequested, EndRequested
from phonebridge.jobs import JobQueue
from phonebridge.outcomes import OutcomeAnnouncer, SendOutcome
from phonebridge.storage.call_store import DynamoCallStore
from tests.support.calls import after, browser_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

URL = "https://shop.example/outcomes"
ENDED = after(browser_call(), BrowserCallRequested(), EndRequested(EndedBy.API, 2_000))


@dataclass
class RecordedQueue(JobQueue):
    jobs: list["DataclassInstance"] = field(default_factory=list)

    def add(self, job: "DataclassInstance", delay_seconds: int = 0) -> None:
        self.jobs.append(job)


@pytest.fixture
def queue() -> RecordedQueue:
    return RecordedQueue()


def announce(store: DynamoCallStore, clock: Clock, queue: JobQueue, call: Call) -> None:
    OutcomeAnnouncer(store, queue, URL, clock).announce_browser_call(call)


def test_the_end_of_a_browser_call_is_announced_once(
    store: DynamoCallStore, clock: Clock, queue: RecordedQueue
) -> None:
    store.create(ENDED, CallConfig())
    for _ in range(2):
        announce(store, clock, queue, ENDED)
    notice = store.webhook_delivery(ENDED.call_id)
    assert notice
    assert notice.event_id
    assert queue.jobs == [SendOutcome(ENDED.call_id, notice.job)]


def test_the_end_of_a_phone_call_is_for_the_webhook_of_the_carrier(
    store: DynamoCallStore, clock: Clock, queue: RecordedQueue
) -> None:
    by_phone = replace(ENDED, direction=type(ENDED.direction).OUTBOUND)
    store.create(by_phone, CallConfig())
    announce(store, clock, queue, by_phone)
    assert queue.jobs == []
