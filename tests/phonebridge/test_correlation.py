"""Ids of the leg decide which call a webhook is about; `client_state` is a hint."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from phonebridge.call import Call, CallStatus, Hangup, Leg
from phonebridge.call_commands import Dial
from phonebridge.call_config import CallConfig
from phonebridge.call_events import (
    CallAnswered,
    CallArrived,
    CallEvent,
    CallHungUp,
    CallInitiated,
    CallRequested,
    MediaAttached,
)
from phonebridge.correlation import find
from phonebridge.errors import Conflict
from phonebridge.log import logger
from phonebridge.mailbox import DynamoMailbox
from phonebridge.steering import TransferSettled
from phonebridge.store import DynamoCallStore
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.webhook import Webhook
from phonebridge.telnyx.webhook_payloads import inbound_call_id
from phonebridge.transfer import CallTransferred, DialTarget, TransferRequested
from support.calls import after, inbound_call, outbound_call
from support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEG = Leg("v3:one", "leg-one", "session-one")
OTHER_LEG = Leg("v3:other", "leg-other", "session-other")
TARGET = Leg("v3:target", "leg-target", LEG.call_session_id)
STATES = [
    None,
    "not ours",
    "x" * 4_000,
    "other",
    "other/transfer/1",
    "call-1/transfer/7",
    "born",
    "gone",
]
"""What another program may have left as `client_state`. `other` is a live call, `born` one whose
leg is not known yet, `gone` none at all."""
IN_EVERY_STATE = pytest.mark.parametrize("state", STATES, ids=str)
IN_FOREIGN_STATES = pytest.mark.parametrize("state", [None, "not ours", "other", "born"])


class Carrier:
    """Dials, and names the legs that it was given."""

    def __init__(self) -> None:
        self.legs: dict[str, Leg] = {"call-1": LEG, "other": OTHER_LEG}
        self.target: Leg | None = None

    def execute(self, command: object, call: Call, config: CallConfig) -> Leg | None:
        if isinstance(command, DialTarget):
            return self.target
        return self.legs.get(call.call_id) if isinstance(command, Dial) else None


class Nobody:
    def answering(self, number: str) -> CallConfig | None:
        return None


class Somebody:
    def answering(self, number: str) -> CallConfig | None:
        return CallConfig()


class CountingStore(DynamoCallStore):
    """Notes the reads."""

    reads: list[str]

    def load(self, call_id: str) -> Call | None:
        self.reads.append("head")
        return super().load(call_id)

    def config(self, call_id: str) -> CallConfig | None:
        self.reads.append("config")
        return super().config(call_id)

    def linked(self, leg: Leg) -> str | None:
        self.reads.append("link")
        return super().linked(leg)


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
    """Calls that a `client_state` may name by mistake: none of them may change."""
    switchboard.place(outbound_call("other"), CallConfig())
    deliver(switchboard, store, answered(OTHER_LEG), "other")
    switchboard.apply("other", MediaAttached(1, "task-2", 6_000))
    switchboard.apply("other", TransferRequested("+15550143"))
    store.create(after(outbound_call("born"), CallRequested()), CallConfig())
    before = [store.load("other"), store.load("born")]
    yield
    assert [store.load("other"), store.load("born")] == before


def initiated(leg: Leg) -> CallEvent:
    return CallInitiated(leg)


def answered(leg: Leg) -> CallEvent:
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


def status(store: CountingStore, call_id: str = "call-1") -> CallStatus:
    call = store.load(call_id)
    assert call
    return call.status


# The caller's own leg.


@IN_EVERY_STATE
@pytest.mark.usefixtures("others")
def test_an_outbound_call_is_found_by_its_leg(
    switchboard: Switchboard, store: CountingStore, state: str | None
) -> None:
    switchboard.place(outbound_call(), CallConfig())
    deliver(switchboard, store, initiated(LEG), state)
    deliver(switchboard, store, answered(LEG), state)
    assert status(store) is CallStatus.ANSWERED
    deliver(switchboard, store, hung_up(LEG), state)
    assert status(store) is CallStatus.ENDED


@IN_FOREIGN_STATES
@pytest.mark.parametrize(
    "told",
    [
        LEG,
        replace(LEG, call_control_id="v3:renamed"),
        replace(LEG, call_control_id=""),
        Leg(LEG.call_control_id),
        Leg(LEG.call_control_id, "", LEG.call_session_id),
        Leg("", LEG.call_leg_id),
    ],
    ids=str,
)
@pytest.mark.usefixtures("others")
def test_one_id_of_the_leg_is_enough(
    switchboard: Switchboard, store: CountingStore, state: str | None, told: Leg
) -> None:
    switchboard.place(outbound_call(), CallConfig())
    ended = deliver(switchboard, store, hung_up(told), state)
    assert ended
    assert (ended.call_id, ended.status) == ("call-1", CallStatus.ENDED)
    assert ended.leg
    assert ended.leg.call_leg_id == LEG.call_leg_id, "what a webhook leaves out is kept"


@IN_FOREIGN_STATES
@pytest.mark.parametrize("told", [LEG, Leg(LEG.call_control_id), Leg("", LEG.call_leg_id)], ids=str)
@pytest.mark.usefixtures("others")
def test_an_inbound_call_is_found_by_its_leg(
    switchboard: Switchboard, store: CountingStore, state: str | None, told: Leg
) -> None:
    call_id = inbound_call_id(LEG)
    arrival = inbound_call(call_id)
    switchboard.receive(webhook(CallArrived(LEG), LEG, None), arrival, Somebody())
    deliver(switchboard, store, answered(told), state)
    assert status(store, call_id) is CallStatus.ANSWERED
    deliver(switchboard, store, hung_up(told), state)
    assert status(store, call_id) is CallStatus.ENDED


@pytest.mark.parametrize("state", ["call-1", "other"])
@pytest.mark.usefixtures("others")
def test_the_state_of_another_call_does_not_end_an_inbound_one_in_its_place(
    switchboard: Switchboard, store: CountingStore, state: str
) -> None:
    switchboard.place(outbound_call(), CallConfig())
    call_id = inbound_call_id(TARGET)
    arrived = webhook(CallArrived(TARGET), TARGET, None)
    switchboard.receive(arrived, inbound_call(call_id), Nobody())
    deliver(switchboard, store, hung_up(TARGET), state)
    assert status(store, call_id) is CallStatus.ENDED
    assert status(store) is CallStatus.DIALING


def test_a_webhook_may_come_before_the_answer_to_the_dial(
    switchboard: Switchboard, store: CountingStore, carrier: Carrier
) -> None:
    store.create(after(outbound_call(), CallRequested()), CallConfig())
    deliver(switchboard, store, initiated(LEG), "call-1")
    call = store.load("call-1")
    assert call
    assert call.leg == LEG
    ended = deliver(switchboard, store, hung_up(LEG), "not ours")
    assert ended
    assert (ended.call_id, ended.status) == ("call-1", CallStatus.ENDED)


@pytest.mark.usefixtures("others")
def test_a_dial_whose_answer_names_no_leg_is_found_by_its_first_webhook(
    switchboard: Switchboard, store: CountingStore, carrier: Carrier
) -> None:
    carrier.legs = {}
    switchboard.place(outbound_call(), CallConfig())
    deliver(switchboard, store, initiated(LEG), "call-1")
    deliver(switchboard, store, answered(LEG), "other")
    assert status(store) is CallStatus.ANSWERED


def test_a_webhook_without_a_control_id_waits_until_the_leg_is_known(
    switchboard: Switchboard, store: CountingStore
) -> None:
    store.create(after(outbound_call(), CallRequested()), CallConfig())
    with pytest.raises(Conflict, match="deliver it again"):
        deliver(switchboard, store, answered(Leg("", LEG.call_leg_id)), "call-1")
    assert status(store) is CallStatus.DIALING


def test_a_leg_of_our_session_that_is_none_of_ours_changes_nothing(
    switchboard: Switchboard, store: CountingStore
) -> None:
    """Another program has transferred the caller."""
    switchboard.place(outbound_call(), CallConfig())
    deliver(switchboard, store, answered(LEG), "call-1")
    before = store.load("call-1")
    for state in (None, "call-1"):
        assert deliver(switchboard, store, hung_up(TARGET), state) is None
    assert store.load("call-1") == before


@pytest.mark.parametrize("state", [None, "not ours", "other", "call-1", "gone"])
@pytest.mark.usefixtures("others")
def test_a_leg_of_nobody_changes_nothing(
    switchboard: Switchboard, store: CountingStore, state: str | None
) -> None:
    switchboard.place(outbound_call(), CallConfig())
    stranger = Leg("v3:stranger", "leg-stranger", "session-stranger")
    assert find(store, webhook(hung_up(stranger), stranger, state)) is None


# The target of a transfer.


@pytest.fixture
def transferring(
    switchboard: Switchboard, store: CountingStore, mailbox: DynamoMailbox
) -> Switchboard:
    switchboard.place(outbound_call(), CallConfig())
    deliver(switchboard, store, answered(LEG), "call-1")
    switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))
    return switchboard


TARGET_STATES = [state for state in STATES if state != "call-1/transfer/7"] + [
    "call-1",
    "call-1/transfer/1",
]


@pytest.mark.parametrize("state", TARGET_STATES, ids=str)
@pytest.mark.usefixtures("others")
def test_a_blind_transfers_target_is_found_by_its_session(
    transferring: Switchboard, store: CountingStore, mailbox: DynamoMailbox, state: str | None
) -> None:
    transferring.apply("call-1", TransferRequested("+15550142"))
    deliver(transferring, store, initiated(TARGET), state)
    call = store.load("call-1")
    assert call
    assert call.transfer
    assert (call.leg, call.transfer.target) == (LEG, TARGET.call_control_id)
    deliver(transferring, store, hung_up(TARGET, "user_busy"), state)
    assert status(store) is CallStatus.STREAMING
    [posted] = mailbox.collect("task-1")
    assert posted.command == TransferSettled("user_busy")


@pytest.mark.parametrize("state", TARGET_STATES, ids=str)
@pytest.mark.parametrize("is_linked", [True, False])
@pytest.mark.usefixtures("others")
def test_a_warm_transfers_target_is_found_before_and_after_its_dial_is_answered(
    transferring: Switchboard,
    store: CountingStore,
    carrier: Carrier,
    state: str | None,
    is_linked: bool,
) -> None:
    carrier.target = TARGET if is_linked else None
    transferring.apply("call-1", TransferRequested("+15550142", summary="A caller from Ulm."))
    deliver(transferring, store, answered(TARGET), state)
    call = store.load("call-1")
    assert call
    assert call.transfer
    assert (call.leg, call.transfer.target) == (LEG, TARGET.call_control_id)
    assert call.transfer.answered


@pytest.mark.parametrize("state", TARGET_STATES, ids=str)
@pytest.mark.usefixtures("others")
def test_the_callers_own_leg_is_told_from_the_targets(
    transferring: Switchboard, store: CountingStore, state: str | None
) -> None:
    transferring.apply("call-1", TransferRequested("+15550142"))
    deliver(transferring, store, initiated(TARGET), "call-1/transfer/1")
    transferring.apply("call-1", CallTransferred(50_000))
    deliver(transferring, store, hung_up(TARGET), state)
    assert status(store) is CallStatus.TRANSFERRED
    deliver(transferring, store, hung_up(LEG), state)
    assert status(store) is CallStatus.ENDED


# What it costs.


def test_a_webhook_reads_the_head_once_and_the_settings_only_where_they_are_needed(
    switchboard: Switchboard, store: CountingStore
) -> None:
    switchboard.place(outbound_call(), CallConfig())
    reads: list[list[str]] = []
    for event in (initiated(LEG), answered(LEG), answered(LEG), hung_up(LEG)):
        store.reads = []
        deliver(switchboard, store, event, "call-1")
        reads.append(store.reads)
    assert reads == [["head"], ["head", "config"], ["head"], ["head"]]
