"""The sweep settles silent calls."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

import sweep_calls
from control_plane import services
from phonebridge.call.call import Call, CallStatus, EndedBy, Fault, Outcome
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallAnswered,
    CallArrived,
    CallEvent,
    CallFailed,
    CallRequested,
    DialAccepted,
    EndRequested,
    MediaAttached,
    MediaReported,
)
from phonebridge.call.overdue import (
    HANGUP_TIMEOUT_MS,
    MEDIA_TIMEOUT_MS,
    RING_TIMEOUT_MS,
    TRANSFER_TIMEOUT_MS,
)
from phonebridge.call.owed import REPEAT_AFTER_MS
from phonebridge.call.steering import TransferFinished
from phonebridge.call.transfer import TransferRequested
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import DynamoFleet, TaskState
from phonebridge.storage.mailbox import DynamoMailbox
from tests.support.calls import LEG, after, inbound_call, outbound_call, streaming_call
from tests.support.clock import Clock
from tests.support.published_metrics import published_in
from tests.support.recorded_telnyx import RecordedTelnyx

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.usefixtures("environment")


def store_now(store: DynamoCallStore, clock: Clock, call: Call) -> None:
    store.create(replace(call, changed_at_ms=clock.now_ms), CallConfig())


@pytest.fixture
def dialing(store: DynamoCallStore, clock: Clock) -> None:
    store_now(store, clock, after(outbound_call("dialing"), CallRequested(), DialAccepted(LEG)))


@pytest.fixture
def streaming(store: DynamoCallStore, clock: Clock) -> None:
    store_now(store, clock, streaming_call("streaming", clock.now_ms, clock.now_ms))


def load(store: DynamoCallStore, call_id: str) -> Call:
    call = store.load(call_id)
    assert call
    return call


def sweep() -> dict[str, int]:
    return sweep_calls.handler({}, None)


@pytest.mark.usefixtures("dialing", "streaming")
def test_young_calls_are_left_alone(telnyx: RecordedTelnyx) -> None:
    assert sweep() == {"seen": 2, "up": 1, "swept": 0, "failed": 0}
    assert telnyx.commands == []


@pytest.mark.usefixtures("dialing")
def test_a_call_whose_answer_was_never_heard_of_is_streamed_once_the_carrier_says_it_is_up(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    clock.pass_seconds(RING_TIMEOUT_MS / 1000 + 1)
    telnyx.legs = {"is_alive": True, "start_time": iso(clock.now_ms - 50_000)}

    assert sweep()["swept"] == 1

    call = load(store, "dialing")
    assert (call.status, call.answered_at_ms) == (CallStatus.ANSWERED, clock.now_ms - 50_000)
    assert telnyx.names == ["streaming_start"]


@pytest.mark.usefixtures("dialing")
def test_a_call_that_nobody_answered_during_an_outage_ends_when_the_carrier_says(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    clock.pass_seconds(RING_TIMEOUT_MS / 1000 + 1)
    telnyx.legs = {"is_alive": False, "end_time": iso(clock.now_ms - 20_000)}

    assert sweep()["swept"] == 1

    call = load(store, "dialing")
    assert (call.status, call.outcome, call.reason) == (
        CallStatus.ENDED,
        Outcome.FAILED,
        "unknown",
    )
    assert call.ended_at_ms == clock.now_ms - 20_000
    assert telnyx.names == [], "nothing is left to hang up"


@pytest.mark.usefixtures("streaming")
def test_a_caller_who_hung_up_during_an_outage_ends_the_call_when_the_carrier_says(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    began_ms = clock.now_ms
    clock.pass_seconds(1)
    store.save(saved_after(store, clock, "streaming", MediaReported(1)))
    clock.pass_seconds(HANGUP_TIMEOUT_MS / 1000 + 1)
    telnyx.legs = {"is_alive": False, "end_time": iso(began_ms + 500)}

    assert sweep()["swept"] == 1

    call = load(store, "streaming")
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "unknown")
    assert call.talk_ms == 500


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def saved_after(store: DynamoCallStore, clock: Clock, call_id: str, event: CallEvent) -> Call:
    call = load(store, call_id)
    return replace(after(call, event), changed_at_ms=clock.now_ms)


@pytest.mark.usefixtures("streaming")
def test_nothing_is_final_while_the_carrier_does_not_answer(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    clock.pass_seconds(3_600)
    telnyx.legs = {"record_type": "call"}

    assert sweep() == {"seen": 1, "up": 1, "swept": 0, "failed": 1}

    call = load(store, "streaming")
    assert call.status is CallStatus.STREAMING


def test_a_call_that_no_container_takes_gets_one_more_stream_and_is_hung_up_then(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    told = (CallRequested(), DialAccepted(LEG), CallAnswered(LEG, clock.now_ms))
    store_now(store, clock, after(outbound_call(), *told))
    for _ in range(2):
        clock.pass_seconds(MEDIA_TIMEOUT_MS / 1000 + 1)
        assert sweep()["swept"] == 1

    call = load(store, "call-1")
    assert (call.status, call.reason) == (CallStatus.ENDED, "no_media")
    assert telnyx.questions == 2
    assert telnyx.names == ["streaming_stop", "streaming_start", "hangup"]


def test_what_was_saved_but_not_sent_is_sent(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    """The handler died in between, and the webhook was not delivered again."""
    call = after(inbound_call(), CallArrived(LEG))
    asked_at = replace(call.asked_at, leg_ms=clock.now_ms)
    store_now(store, clock, replace(call, asked_at=asked_at))
    clock.pass_seconds(1)
    assert sweep()["swept"] == 0, "somebody may be at work"
    clock.pass_seconds(REPEAT_AFTER_MS / 1000)
    assert sweep()["swept"] == 1
    assert telnyx.names == ["answer"]


@dataclass
class Task:
    """A container whose heartbeats reach the table, or do not."""

    fleet: DynamoFleet
    count: int = 0
    lives: bool = True
    lists: tuple[str, ...] = ("streaming",)

    def beat(self) -> None:
        self.count += 1
        self.fleet.list_calls("task-1", self.count, self.lists)
        self.fleet.beat(
            TaskState("task-1", self.count, 40, 1, draining=False, list_version=self.count)
        )


@pytest.fixture
def task(fleet: DynamoFleet, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Task:
    """It beats while the sweep looks at it closely."""
    task = Task(fleet)
    task.beat()

    def sleep(seconds: float) -> None:
        clock.pass_seconds(seconds)
        if task.lives:
            task.beat()

    monkeypatch.setattr(services, "sleep", sleep)
    return task


def status_of(store: DynamoCallStore, call_id: str = "streaming") -> tuple[CallStatus, str | None]:
    call = load(store, call_id)
    return call.status, call.reason


LIVES = (CallStatus.STREAMING, None)
WAITING = ["streaming_stop", "speak"]
"""The commands for a caller whom no task can take."""
GOES_ON = ["streaming_stop", "streaming_start"]


@pytest.mark.usefixtures("streaming")
def test_a_call_waits_for_another_task_once_its_own_beats_no_more(
    store: DynamoCallStore, task: Task, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    for _ in range(5):
        assert sweep()["swept"] == 0
        clock.pass_seconds(60)
        task.beat()

    task.lives = False
    assert sweep()["swept"] == 0
    assert telnyx.names == []
    clock.pass_seconds(60)
    assert sweep()["swept"] == 1
    assert telnyx.names == WAITING
    assert status_of(store) == LIVES


@pytest.mark.usefixtures("streaming")
def test_a_call_that_waits_goes_on_at_the_next_task_or_fails(
    store: DynamoCallStore, fleet: DynamoFleet, task: Task, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    task.lives = False
    for _ in range(2):
        sweep()
        clock.pass_seconds(60)
    assert sweep()["swept"] == 0
    fleet.beat(TaskState("task-2", 1, 40, 0, draining=False))
    assert sweep()["swept"] == 1
    assert telnyx.names == [*WAITING, "streaming_start"]
    assert status_of(store) == LIVES


@pytest.mark.usefixtures("streaming")
def test_a_call_that_waits_in_vain_fails(
    store: DynamoCallStore, task: Task, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    task.lives = False
    for _ in range(5):
        sweep()
        clock.pass_seconds(60)
    assert telnyx.names == [*WAITING, "speak", "hangup"], "the carrier says goodbye"
    assert status_of(store) == (CallStatus.ENDED, "container_lost")


@pytest.mark.usefixtures("streaming")
def test_a_task_that_never_beat_is_lost_at_the_second_run(
    clock: Clock, telnyx: RecordedTelnyx
) -> None:
    assert sweep()["swept"] == 0
    clock.pass_seconds(60)
    assert sweep()["swept"] == 1
    assert telnyx.names == WAITING


@pytest.mark.usefixtures("streaming")
def test_two_runs_less_than_45_seconds_apart_are_one_observation(
    store: DynamoCallStore, task: Task, clock: Clock
) -> None:
    task.lives = False
    assert sweep()["swept"] == 0
    clock.pass_seconds(44)
    assert [sweep()["swept"] for _ in range(3)] == [0, 0, 0]
    assert status_of(store) == LIVES


@pytest.mark.parametrize("outage_seconds", [52, 59, 119])
def test_no_call_ends_because_the_table_was_away(
    store: DynamoCallStore,
    task: Task,
    clock: Clock,
    telnyx: RecordedTelnyx,
    outage_seconds: int,
) -> None:
    """The first run comes right before the outage. The second one hangs in it, and reads in the
    moment in which the table is back."""
    calls = [f"call-{number}" for number in range(12)]
    task.lists = tuple(calls)
    for call_id in calls:
        store_now(store, clock, streaming_call(call_id, clock.now_ms, clock.now_ms))
    for _ in range(3):
        task.beat()
        assert sweep()["swept"] == 0
        clock.pass_seconds(outage_seconds)
        assert sweep()["swept"] == 0
        clock.pass_seconds(60)
    assert [status_of(store, call_id) for call_id in calls] == [LIVES] * 12
    assert telnyx.commands == []


@pytest.mark.usefixtures("streaming")
def test_no_call_ends_because_the_table_fails_while_a_task_is_looked_at(
    store: DynamoCallStore, task: Task, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep()
    clock.pass_seconds(60)

    def fail(seconds: float) -> NoReturn:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    monkeypatch.setattr(services, "sleep", fail)
    services.control_plane.cache_clear()
    assert sweep() == {"seen": 1, "up": 1, "swept": 0, "failed": 0}
    assert status_of(store) == LIVES


@pytest.mark.usefixtures("streaming")
def test_a_run_after_a_long_gap_is_the_first_one_again(
    store: DynamoCallStore, task: Task, clock: Clock
) -> None:
    task.lives = False
    sweep()
    clock.pass_seconds(200)
    assert sweep()["swept"] == 0
    assert status_of(store) == LIVES


@pytest.mark.usefixtures("streaming")
def test_calls_of_a_task_that_another_one_has_marked_get_their_next_stream_at_once(
    fleet: DynamoFleet, task: Task, telnyx: RecordedTelnyx
) -> None:
    fleet.beat(TaskState("task-2", 1, 40, 0, draining=False))
    task.beat()
    state = fleet.heartbeat("task-1")
    assert state
    fleet.mark_over(state)
    assert sweep()["swept"] == 1
    assert telnyx.names == GOES_ON


@pytest.mark.usefixtures("streaming")
def test_a_call_that_its_living_task_does_not_list_gets_its_next_stream(
    task: Task, telnyx: RecordedTelnyx
) -> None:
    task.lists = ("another",)
    task.beat()
    assert sweep()["swept"] == 1
    assert telnyx.names == GOES_ON


@pytest.mark.usefixtures("streaming")
def test_a_call_that_comes_into_the_list_meanwhile_lives(
    store: DynamoCallStore, task: Task, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    task.lists = ()
    task.beat()
    task.lists = ("streaming",)
    assert sweep()["swept"] == 0
    assert status_of(store) == LIVES


@pytest.mark.usefixtures("streaming")
def test_a_list_that_is_not_the_announced_one_proves_nothing(
    store: DynamoCallStore, fleet: DynamoFleet, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count(1)

    def sleep(seconds: float) -> None:
        clock.pass_seconds(seconds)
        fleet.beat(TaskState("task-1", next(counts), 40, 1, draining=False, list_version=2))

    monkeypatch.setattr(services, "sleep", sleep)
    fleet.list_calls("task-1", 1, [])
    sleep(0)
    assert sweep()["swept"] == 0
    assert status_of(store) == LIVES


def test_a_leg_that_outlived_its_call_is_hung_up(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    fault = CallFailed(Fault("model_failed", "", clock.now_ms))
    store_now(store, clock, after(outbound_call(), CallRequested(), DialAccepted(LEG), fault))
    clock.pass_seconds(HANGUP_TIMEOUT_MS / 1000 + 1)

    assert sweep() == {"seen": 1, "up": 0, "swept": 1, "failed": 0}
    assert telnyx.names == ["hangup"]


def test_a_call_whose_hangup_was_lost_is_closed_with_the_reason_it_ended_for(
    store: DynamoCallStore, fleet: DynamoFleet, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    told = (
        CallRequested(),
        DialAccepted(LEG),
        CallAnswered(LEG, clock.now_ms),
        MediaAttached(1, "task-1", clock.now_ms),
        EndRequested(EndedBy.AGENT, clock.now_ms),
    )
    store_now(store, clock, after(outbound_call(), *told))
    clock.pass_seconds(HANGUP_TIMEOUT_MS / 1000 + 1)
    telnyx.refusals = [(422, {"errors": [{"code": "90018", "title": "Already ended"}]})]
    ended_ms = clock.now_ms - 8_000
    telnyx.legs = {"is_alive": False, "end_time": iso(ended_ms)}

    assert sweep()["swept"] == 1

    call = load(store, "call-1")
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "ended_by_agent")
    assert call.ended_at_ms == ended_ms, "the carrier knows when"
    assert telnyx.names == ["hangup"]


@pytest.mark.parametrize(
    ("status", "code"), [(422, "90018"), (422, "90015"), (404, "10005")], ids=str
)
def test_a_call_of_whose_end_no_webhook_came_is_closed_while_its_container_lives(
    store: DynamoCallStore,
    fleet: DynamoFleet,
    clock: Clock,
    telnyx: RecordedTelnyx,
    status: int,
    code: str,
) -> None:
    told = (
        CallRequested(),
        DialAccepted(LEG),
        CallAnswered(LEG, clock.now_ms),
        MediaAttached(1, "task-1", clock.now_ms),
        MediaReported(1),
    )
    store_now(store, clock, after(outbound_call(), *told))
    clock.pass_seconds(HANGUP_TIMEOUT_MS / 1000 + 1)
    telnyx.refusals = [(status, {"errors": [{"code": code, "title": "Gone"}]})]

    assert sweep()["swept"] == 1

    call = load(store, "call-1")
    assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.COMPLETED)
    assert not call.may_be_up
    assert telnyx.names == ["streaming_stop"]


@pytest.mark.parametrize(
    ("status", "code"), [(422, "90018"), (422, "90015"), (404, "10005")], ids=str
)
def test_a_leg_that_telnyx_has_forgotten_is_hung_up_no_more(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx, status: int, code: str
) -> None:
    fault = CallFailed(Fault("model_failed", "", clock.now_ms))
    store_now(store, clock, after(outbound_call(), CallRequested(), DialAccepted(LEG), fault))
    clock.pass_seconds(HANGUP_TIMEOUT_MS / 1000 + 1)
    telnyx.refusals = [(status, {"errors": [{"code": code, "title": "Gone"}]})]

    assert sweep() == {"seen": 1, "up": 0, "swept": 1, "failed": 0}
    assert sweep() == {"seen": 0, "up": 0, "swept": 0, "failed": 0}
    assert telnyx.names == ["hangup"]


@pytest.mark.usefixtures("dialing", "streaming")
def test_one_bad_call_does_not_keep_the_others_alive(
    store: DynamoCallStore, clock: Clock, telnyx: RecordedTelnyx
) -> None:
    clock.pass_seconds(3600)
    telnyx.refusals = [(422, {"errors": [{"code": "10015", "title": "Bad request"}]})] * 2

    assert sweep() == {"seen": 2, "up": 1, "swept": 1, "failed": 1}

    for call_id in ("dialing", "streaming"):
        call = load(store, call_id)
        assert call.status is CallStatus.ENDED
    assert sorted(telnyx.names) == ["hangup", "hangup", "streaming_start"]


@pytest.mark.usefixtures("dialing", "streaming")
def test_a_record_of_another_version_does_not_keep_the_others_alive(
    store: DynamoCallStore, client: "DynamoDBClient", table_name: str, clock: Clock
) -> None:
    client.update_item(
        TableName=table_name,
        Key={"pk": {"S": "CALL#dialing"}, "sk": {"S": "META"}},
        UpdateExpression="SET #status = :newer",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":newer": {"S": "on_hold"}},
    )
    clock.pass_seconds(4 * 3600)

    assert sweep() == {"seen": 2, "up": 1, "swept": 1, "failed": 1}

    assert load(store, "streaming").status is CallStatus.ENDED
    assert store.live(None, 10).calls == ()


@pytest.mark.usefixtures("dialing", "streaming")
def test_what_it_counts_is_a_metric_every_minute(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METRICS_NAMESPACE", "Phonebridge/stack")

    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "phonebridge")

    def published_values() -> dict[str, list[float]]:
        [document] = published_in(capsys.readouterr().out)
        assert document.namespace == "Phonebridge/stack"
        assert document.dimensions == {"service": "control-plane"}
        return document.values

    sweep()
    assert published_values() == {"StuckCalls": [0], "CallMinutes": [1]}
    clock.pass_seconds(3600)
    sweep()
    assert published_values() == {"StuckCalls": [2], "CallMinutes": [1]}


@pytest.mark.usefixtures("dialing")
def test_without_a_namespace_it_publishes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sweep()
    assert published_in(capsys.readouterr().out) == []


def test_the_container_hears_that_a_transfer_was_given_up(
    store: DynamoCallStore, fleet: DynamoFleet, mailbox: DynamoMailbox, clock: Clock
) -> None:
    told = (
        CallRequested(),
        DialAccepted(LEG),
        CallAnswered(LEG, clock.now_ms),
        MediaAttached(1, "task-1", clock.now_ms),
        TransferRequested("+15550142"),
    )
    store_now(store, clock, after(outbound_call("transferring"), *told))
    clock.pass_seconds(TRANSFER_TIMEOUT_MS / 1000 + 1)

    assert sweep()["swept"] == 1

    [posted] = mailbox.collect("task-1")
    assert posted.command == TransferFinished("nothing was heard of it")
