"""Ids of the leg decide which call a webhook is about. `client_state` is only a hint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from phonebridge.call.call import Call, CallStatus, Hangup, Leg
from phonebridge.call.commands import Dial
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallAnswered,
    CallArrived,
    CallEvent,
    CallHungUp,
    CallInitiated,
    CallRequested,
    MediaAttached,
)
from phonebridge.call.overdue import LegState
from phonebridge.call.steering import TransferFinished
from phonebridge.call.transfer import CallTransferred, DialTarget, TransferRequested
from phonebridge.errors import Conflict
from phonebridge.observability.log import logger
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.mailbox import DynamoMailbox
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.correlation import find
from phonebridge.telnyx.webhook import Webhook
from phonebridge.telnyx.webhook_payloads import inbound_call_id
from tests.support.calls import after, inbound_call, outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OTHER_LEG = Leg("v3:other", "leg-other", "session-other")


@dataclass(frozen=True)
class Story:
    """A call with its own legs, and the `client_state` that another program left."""

    call_id: str
    state: str | None

    @property
    def leg(self) -> Leg:
        return Leg(f"v3:{self.call_id}", f"leg-{self.call_id}", f"session-{self.call_id}")

    @property
    def target(self) -> Leg:
        """The leg of a transfer's target."""
        return Leg(f"v3:target-{self.call_id}", f"target-{self.call_id}", self.leg.call_session_id)

    def named_leg(self, change: Mapping[str, str]) -> Leg:
        """The leg as a webhook names it, with ids that are missing or different."""
        ids = {name: told.replace("SELF", self.call_id) for name, told in change.items()}
        return replace(self.leg, **ids)


def stories(*states: str | None) -> Iterator[Story]:
    """Yield stories with these states. `SELF` stands for the id of the call itself."""
    for number, state in enumerate(states):
        call_id = f"call-{number}"
        yield Story(call_id, state and state.replace("SELF", call_id))


FOREIGN = (
    None,
    "not ours",
    "x" * 4_000,
    "gone",
    "other",
    "other/transfer/1",
    "born",
    "born/announcement/1",
)
"""`other` is a live call, `born` one whose leg is not known yet, and `gone` does not exist."""
OURS = ("SELF", "SELF/transfer/1", "SELF/announcement/3", "SELF/announcement/later")


class Carrier:
    """Dials, and returns the leg that the test prepared."""

    def __init__(self) -> None:
        self.names_legs = True

    def execute(self, command: object, call: Call, config: CallConfig) -> Leg | None:
        if not (self.names_legs and isinstance(command, Dial | DialTarget)):
            return None
        if call.call_id == "other":
            return OTHER_LEG
        story = Story(call.call_id, None)
        return story.leg if isinstance(command, Dial) else story.target

    def look_up(self, leg: Leg) -> LegState:
        return LegState(is_alive=True)


class Nobody:
    def answering(self, number: str) -> CallConfig | None:
        return None


class Somebody:
    def answering(self, number: str) -> CallConfig | None:
        return CallConfig()


class CountingStore(DynamoCallStore):
    """Counts the reads."""

    reads: list[str]

    def load(self, call_id: str) -> Call | None:
        self.reads.append("head")
        return super().load(call_id)

    def config(self, call_id: str) -> CallConfig | None:
        self.reads.append("config")
        return super().config(call_id)

    def find_by_leg(self, leg: Leg) -> str | None:
        self.reads.append("link")
        return super().find_by_leg(leg)


@pytest.fixture
def store(client: "DynamoDBClient", table_name: str, clock: Clock) -> CountingStore:
    counting = CountingStore(table_name, client, clock)
    counting.reads = []
    return counting


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def switchboard(
    store: CountingStore, carrier: Carrier, mailbox: DynamoMailbox, clock: Clock
) -> Switchboard:
    return Switchboard(store, carrier, mailbox, clock, logger("correlation"))


@pytest.fixture
def others(switchboard: Switchboard, store: CountingStore) -> Iterator[None]:
    """Create calls that a `client_state` may name by mistake. None of them may change."""
    switchboard.place(outbound_call("other"), CallConfig())
    deliver(switchboard, store, answer_of(OTHER_LEG), "other")
    switchboard.apply("other", MediaAttached(1, "task-2", 6_000))
    switchboard.apply("other", TransferRequested("+15550143"))
    store.create(after(outbound_call("born"), CallRequested()), CallConfig())
    before = [store.load("other"), store.load("born")]
    yield
    assert [store.load("other"), store.load("born")] == before


def initiation_of(leg: Leg) -> CallEvent:
    return CallInitiated(leg)


def answer_of(leg: Leg) -> CallEvent:
    return CallAnswered(leg, 5_000)


def hung_up(leg: Leg, cause: str = "normal_clearing") -> CallEvent:
    return CallHungUp(leg, Hangup(cause, "callee", 90_000))


def webhook(event: CallEvent | None, leg: Leg, state: str | None) -> Webhook:
    return Webhook(
        event_id=f"{type(event).__name__}-{leg.call_leg_id}",
        event_type="call.speak.ended" if event is None else "call.event",
        occurred_at_ms=5_000,
        leg=leg,
        client_state=state,
        event=event,
        arrival=None,
        detail="",
    )


def leg_of(event: CallEvent) -> Leg:
    assert isinstance(event, CallInitiated | CallAnswered | CallHungUp)
    return event.leg


def deliver(
    switchboard: Switchboard, store: CountingStore, event: CallEvent, state: str | None
) -> Call | None:
    told = webhook(event, leg_of(event), state)
    found = find(store, told)
    return switchboard.deliver(told, found) if found else None


def status(store: CountingStore, story: Story) -> CallStatus:
    call = store.load(story.call_id)
    assert call, story
    return call.status


# The caller's own leg


@pytest.mark.usefixtures("others")
def test_an_outbound_call_is_found_by_its_leg(
    switchboard: Switchboard, store: CountingStore
) -> None:
    for story in stories(*FOREIGN, *OURS, "SELF/transfer/7"):
        switchboard.place(outbound_call(story.call_id), CallConfig())
        deliver(switchboard, store, initiation_of(story.leg), story.state)
        deliver(switchboard, store, answer_of(story.leg), story.state)
        assert status(store, story) is CallStatus.ANSWERED
        deliver(switchboard, store, hung_up(story.leg), story.state)
        assert status(store, story) is CallStatus.ENDED


SOME_IDS: tuple[Mapping[str, str], ...] = (
    {},
    {"call_control_id": "v3:renamed-SELF"},
    {"call_control_id": ""},
    {"call_leg_id": ""},
    {"call_leg_id": "", "call_session_id": ""},
    {"call_control_id": "", "call_session_id": ""},
)


@pytest.mark.parametrize("change", SOME_IDS, ids=str)
@pytest.mark.usefixtures("others")
def test_one_id_of_the_leg_is_enough(
    switchboard: Switchboard, store: CountingStore, change: Mapping[str, str]
) -> None:
    for story in stories(*FOREIGN, *OURS):
        switchboard.place(outbound_call(story.call_id), CallConfig())
        told = hung_up(story.named_leg(change))
        ended = deliver(switchboard, store, told, story.state)
        assert ended
        assert (ended.call_id, ended.status) == (story.call_id, CallStatus.ENDED)
        assert ended.leg
        assert ended.leg.call_leg_id == story.leg.call_leg_id, "what is left out is kept"


@pytest.mark.parametrize("change", [SOME_IDS[0], *SOME_IDS[2:]], ids=str)
@pytest.mark.usefixtures("others")
def test_an_inbound_call_is_found_by_its_leg(
    switchboard: Switchboard, store: CountingStore, change: Mapping[str, str]
) -> None:
    for story in stories(*FOREIGN, *OURS):
        arrived = webhook(CallArrived(story.leg), story.leg, None)
        call_id = inbound_call_id(story.leg)
        switchboard.receive(arrived, inbound_call(call_id), Somebody())
        told = story.named_leg(change)
        deliver(switchboard, store, answer_of(told), story.state)
        deliver(switchboard, store, hung_up(told), story.state)
        call = store.load(call_id)
        assert call
        assert (call.status, call.answered_at_ms) == (CallStatus.ENDED, 5_000)


def test_the_state_of_one_call_does_not_end_it_in_place_of_an_inbound_one(
    switchboard: Switchboard, store: CountingStore
) -> None:
    story = Story("call-1", "call-1")
    switchboard.place(outbound_call(), CallConfig())
    call_id = inbound_call_id(OTHER_LEG)
    arrived = webhook(CallArrived(OTHER_LEG), OTHER_LEG, None)
    switchboard.receive(arrived, inbound_call(call_id), Nobody())
    deliver(switchboard, store, hung_up(OTHER_LEG), story.state)
    assert status(store, Story(call_id, None)) is CallStatus.ENDED
    assert status(store, story) is CallStatus.DIALING


def test_a_webhook_may_come_before_the_answer_to_the_dial(
    switchboard: Switchboard, store: CountingStore
) -> None:
    story = Story("call-1", "not ours")
    store.create(after(outbound_call(), CallRequested()), CallConfig())
    deliver(switchboard, store, initiation_of(story.leg), "call-1")
    deliver(switchboard, store, hung_up(story.leg), story.state)
    assert status(store, story) is CallStatus.ENDED


@pytest.mark.usefixtures("others")
def test_a_dial_whose_answer_names_no_leg_is_found_by_its_first_webhook(
    switchboard: Switchboard, store: CountingStore, carrier: Carrier
) -> None:
    carrier.names_legs = False
    for story in stories(*FOREIGN):
        switchboard.place(outbound_call(story.call_id), CallConfig())
        deliver(switchboard, store, initiation_of(story.leg), story.call_id)
        deliver(switchboard, store, answer_of(story.leg), story.state)
        assert status(store, story) is CallStatus.ANSWERED


def test_a_webhook_without_a_control_id_waits_until_the_leg_is_known(
    switchboard: Switchboard, store: CountingStore
) -> None:
    store.create(after(outbound_call(), CallRequested()), CallConfig())
    with pytest.raises(Conflict, match="call-1 is not known yet"):
        deliver(switchboard, store, answer_of(Leg("", "leg-call-1")), "call-1")
    assert status(store, Story("call-1", None)) is CallStatus.DIALING


def test_a_leg_of_our_session_that_is_none_of_ours_changes_nothing(
    switchboard: Switchboard, store: CountingStore
) -> None:
    """Another program has transferred the caller."""
    story = Story("call-1", None)
    switchboard.place(outbound_call(), CallConfig())
    deliver(switchboard, store, answer_of(story.leg), "call-1")
    before = store.load("call-1")
    for state in (None, "call-1", "call-1/transfer/1"):
        assert deliver(switchboard, store, hung_up(story.target), state) is None
    assert store.load("call-1") == before


@pytest.mark.usefixtures("others")
def test_a_leg_of_nobody_changes_nothing(switchboard: Switchboard, store: CountingStore) -> None:
    switchboard.place(outbound_call(), CallConfig())
    stranger = Leg("v3:stranger", "leg-stranger", "session-stranger")
    for state in (None, "not ours", "other", "call-1", "gone"):
        assert find(store, webhook(hung_up(stranger), stranger, state)) is None


# The target of a transfer


def transfer(switchboard: Switchboard, store: CountingStore, story: Story, summary: str) -> None:
    switchboard.place(outbound_call(story.call_id), CallConfig())
    deliver(switchboard, store, answer_of(story.leg), story.call_id)
    switchboard.apply(story.call_id, MediaAttached(1, f"task-{story.call_id}", 6_000))
    switchboard.apply(story.call_id, TransferRequested("+15550142", summary=summary))


@pytest.mark.usefixtures("others")
def test_a_blind_transfers_target_is_found_by_its_session(
    switchboard: Switchboard, store: CountingStore, mailbox: DynamoMailbox
) -> None:
    for story in stories(*FOREIGN, *OURS):
        transfer(switchboard, store, story, "")
        deliver(switchboard, store, initiation_of(story.target), story.state)
        call = store.load(story.call_id)
        assert call
        assert call.transfer
        assert (call.leg, call.transfer.target) == (story.leg, story.target.call_control_id)
        deliver(switchboard, store, hung_up(story.target, "user_busy"), story.state)
        assert status(store, story) is CallStatus.STREAMING
        [posted] = mailbox.collect(f"task-{story.call_id}")
        assert posted.command == TransferFinished("user_busy")


@pytest.mark.parametrize("names_legs", [True, False])
@pytest.mark.usefixtures("others")
def test_a_warm_transfers_target_is_found_before_and_after_its_dial_is_answered(
    switchboard: Switchboard, store: CountingStore, carrier: Carrier, names_legs: bool
) -> None:
    carrier.names_legs = names_legs
    for story in stories(*FOREIGN, *OURS):
        transfer(switchboard, store, story, "A caller from Ulm.")
        deliver(switchboard, store, answer_of(story.target), story.state)
        call = store.load(story.call_id)
        assert call
        assert call.transfer
        assert call.transfer.answered
        assert (call.leg, call.transfer.target) == (story.leg, story.target.call_control_id)


@pytest.mark.parametrize("summary", ["", "A caller from Ulm."])
def test_news_of_a_target_may_lack_its_control_id_once_that_is_known(
    switchboard: Switchboard, store: CountingStore, carrier: Carrier, summary: str
) -> None:
    story = Story("call-1", "call-1/transfer/1")
    switchboard.place(outbound_call(), CallConfig())
    carrier.names_legs = False
    deliver(switchboard, store, answer_of(story.leg), "call-1")
    switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))
    switchboard.apply("call-1", TransferRequested("+15550142", summary=summary))
    nameless = replace(story.target, call_control_id="")
    with pytest.raises(Conflict, match="call-1/transfer/1 is not known yet"):
        deliver(switchboard, store, answer_of(nameless), story.state)
    deliver(switchboard, store, initiation_of(story.target), story.state)
    deliver(switchboard, store, hung_up(nameless, "user_busy"), None)
    call = store.load("call-1")
    assert call
    assert call.transfer
    assert (call.transfer.target, call.transfer.end) == ("v3:target-call-1", "user_busy")


@pytest.mark.usefixtures("others")
def test_the_callers_own_leg_is_told_from_the_targets(
    switchboard: Switchboard, store: CountingStore
) -> None:
    for story in stories(*FOREIGN, *OURS):
        transfer(switchboard, store, story, "")
        deliver(switchboard, store, initiation_of(story.target), f"{story.call_id}/transfer/1")
        switchboard.apply(story.call_id, CallTransferred(50_000))
        deliver(switchboard, store, hung_up(story.target), story.state)
        assert status(store, story) is CallStatus.TRANSFERRED
        deliver(switchboard, store, hung_up(story.leg), story.state)
        assert status(store, story) is CallStatus.ENDED


# Number of reads


def test_a_webhook_reads_the_head_once_and_the_settings_only_where_they_are_needed(
    switchboard: Switchboard, store: CountingStore
) -> None:
    switchboard.place(outbound_call(), CallConfig())
    reads: list[list[str]] = []
    leg = Story("call-1", None).leg
    for event in (initiation_of(leg), answer_of(leg), initiation_of(leg), hung_up(leg)):
        store.reads = []
        deliver(switchboard, store, event, "call-1")
        reads.append(store.reads)
    assert reads == [["head"], ["head", "config"], ["head", "config"], ["head"]]
