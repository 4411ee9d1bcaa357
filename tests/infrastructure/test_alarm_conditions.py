"""When each alarm rings, and when it does not: from the metrics that the code emits, and from those
of AWS where an alarm watches them."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

import sweep_calls
from media_bridge.runtime.metrics import WorkerMetrics
from tests.support.alarm_evaluation import Samples, metrics_of, rings
from tests.support.conditions import parameters
from tests.support.published_metrics import published_in
from tests.support.translated import of_type

NAMESPACE = "Phonebridge/test"
MINUTES = 10
ALARMS = of_type("AWS::CloudWatch::Alarm")


class Emitted:
    """What the code prints, minute after minute."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def by_tasks(
        self,
        *,
        connected: int = 0,
        failed: int = 0,
        lag_seconds: float = 0.0,
        calls: int = 5,
        lost: int = 0,
        taken_over: int = 0,
    ) -> Samples:
        """One task, the same in every minute."""
        worker = WorkerMetrics(NAMESPACE)
        for _ in range(MINUTES):
            for _ in range(connected):
                worker.model_connected(0.2)
            for _ in range(failed):
                worker.model_unreachable()
            for _ in range(lost):
                worker.model_reconnected("closed", 400)
            for _ in range(taken_over):
                worker.call_taken_over()
            worker.loop_lagged(lag_seconds)
            worker.publish(active_calls=calls, slots=40)
        return self._read()

    def by_sweeps(self, *, up: int, swept: int) -> Samples:
        for _ in range(MINUTES):
            sweep_calls._publish(NAMESPACE, Counter(seen=up + swept, up=up, swept=swept, failed=0))
        return self._read()

    def _read(self) -> Samples:
        minutes: dict[str, list[list[float]]] = {}
        for published in published_in(self._capsys.readouterr().out):
            for name, values in published.values.items():
                minutes.setdefault(name, []).append(values)
        return minutes


@pytest.fixture
def emissions(capsys: pytest.CaptureFixture[str]) -> Emitted:
    return Emitted(capsys)


def always(**values: float) -> Samples:
    """Metrics of AWS that have one value in every minute."""
    names = {"errors5xx": "5xx"}
    return {names.get(name, name): [[value]] * MINUTES for name, value in values.items()}


def silence() -> Samples:
    return {"something": [[0.0]] * MINUTES}


def does_ring(alarm: str, samples: Samples, **given: object) -> bool:
    return rings(ALARMS[alarm], samples, parameters(**given))


@pytest.mark.parametrize(
    ("connected", "failed", "expected"),
    [
        (0, 0, False),  # nobody calls
        (40, 0, False),
        (90, 3, False),  # a hiccup at scale
        (40, 3, True),
        (0, 1, True),  # every call of a small stack
        (10, 1, False),  # one of eleven
    ],
)
def test_sessions_with_the_model_that_fail(
    emissions: Emitted, connected: int, failed: int, expected: bool
) -> None:
    samples = emissions.by_tasks(connected=connected, failed=failed)
    assert does_ring("ModelConnectFailuresAlarm", samples) is expected


@pytest.mark.parametrize(
    ("lost", "calls", "expected"), [(0, 5, False), (1, 40, False), (5, 40, True), (1, 2, True)]
)
def test_sessions_that_are_lost_more_often_than_they_reach_their_age(
    emissions: Emitted, lost: int, calls: int, expected: bool
) -> None:
    samples = emissions.by_tasks(lost=lost, calls=calls)
    assert does_ring("ModelReconnectsAlarm", samples) is expected


@pytest.mark.parametrize(("taken_over", "expected"), [(0, False), (1, True)])
def test_calls_of_a_task_that_died(emissions: Emitted, taken_over: int, expected: bool) -> None:
    samples = emissions.by_tasks(taken_over=taken_over)
    assert does_ring("CallsTakenOverAlarm", samples) is expected


@pytest.mark.parametrize(("lag_seconds", "expected"), [(0.02, False), (0.15, True)])
def test_a_task_that_falls_behind(emissions: Emitted, lag_seconds: float, expected: bool) -> None:
    assert does_ring("LoopLagAlarm", emissions.by_tasks(lag_seconds=lag_seconds)) is expected


@pytest.mark.parametrize(("calls", "expected"), [(20, False), (33, True)])
def test_slots_that_run_out(emissions: Emitted, calls: int, expected: bool) -> None:
    samples = {**emissions.by_tasks(calls=calls), **always(HealthyHostCount=1)}
    assert does_ring("CallSlotsAlarm", samples) is expected


def test_tasks_that_report_nothing(emissions: Emitted) -> None:
    assert not does_ring("StaleMetricsAlarm", emissions.by_tasks())
    assert does_ring("StaleMetricsAlarm", silence())


@pytest.mark.parametrize(
    ("up", "swept", "expected"),
    [(0, 0, False), (10, 0, False), (10, 1, True), (1000, 5, False), (0, 1, True)],
)
def test_calls_that_the_sweep_ends_every_minute(
    emissions: Emitted, up: int, swept: int, expected: bool
) -> None:
    assert does_ring("StuckCallsAlarm", emissions.by_sweeps(up=up, swept=swept)) is expected


def test_a_single_lost_webhook_is_no_stuck_call(emissions: Emitted) -> None:
    samples = dict(emissions.by_sweeps(up=2, swept=0))
    samples["StuckCalls"] = [*samples["StuckCalls"][:-1], [1.0]]
    assert not does_ring("StuckCallsAlarm", samples)


@pytest.mark.parametrize(("limit", "expected"), [(49, True), (600, False)])
def test_more_talk_than_expected(emissions: Emitted, limit: int, expected: bool) -> None:
    samples = emissions.by_sweeps(up=5, swept=0)
    assert does_ring("CallMinutesAlarm", samples, CallMinutesPerHourAlarm=limit) is expected


SHARES: dict[str, Callable[[float, float], Samples]] = {
    "WebhookErrorsAlarm": lambda bad, all_: always(WebhookErrors=bad, WebhookRequests=all_),
    "ApiErrorsAlarm": lambda bad, all_: always(errors5xx=bad, Count=all_),
    "MediaSocketErrorsAlarm": lambda bad, all_: always(
        HTTPCode_Target_5XX_Count=bad, RequestCount=all_
    ),
}


@pytest.mark.parametrize("alarm", SHARES)
@pytest.mark.parametrize(
    ("bad", "of_all", "expected"),
    [(0, 50, False), (0, 0, False), (1, 50, False), (3, 500, False), (3, 50, True), (1, 2, True)],
)
def test_requests_that_fail(alarm: str, bad: float, of_all: float, expected: bool) -> None:
    assert does_ring(alarm, SHARES[alarm](bad, of_all)) is expected


def test_media_sockets_that_find_no_task_at_all() -> None:
    assert does_ring("MediaSocketErrorsAlarm", always(HTTPCode_ELB_5XX_Count=1))


OF_AWS: Sequence[tuple[str, Samples, Samples]] = (
    ("TaskMemoryAlarm", always(MemoryUtilization=60), always(MemoryUtilization=91)),
    ("TasksBelowMinimumAlarm", always(HealthyHostCount=2), always(HealthyHostCount=1)),
    ("UnhealthyTasksAlarm", always(UnHealthyHostCount=0), always(UnHealthyHostCount=1)),
    ("ThrottlesAlarm", always(ReadThrottleEvents=2), always(WriteThrottleEvents=4, Throttles=2)),
    ("SweepErrorsAlarm", always(Errors=0), always(Errors=1)),
    (
        "DeadLettersAlarm",
        always(ApproximateNumberOfMessagesVisible=0),
        always(ApproximateNumberOfMessagesVisible=1),
    ),
    ("MediaCertificateAlarm", always(DaysToExpiry=60), always(DaysToExpiry=20)),
    ("ApiCertificateAlarm", always(DaysToExpiry=60), always(DaysToExpiry=20)),
)


@pytest.mark.parametrize(("alarm", "fine", "bad"), OF_AWS, ids=[name for name, _, _ in OF_AWS])
def test_what_aws_measures(alarm: str, fine: Samples, bad: Samples) -> None:
    assert not does_ring(alarm, fine, MediaTasksMin=2)
    assert does_ring(alarm, bad, MediaTasksMin=2)


def test_a_service_without_tasks_is_below_its_minimum() -> None:
    assert does_ring("TasksBelowMinimumAlarm", silence())


def test_every_alarm_is_tried_here() -> None:
    tried = {
        *SHARES,
        *(name for name, _, _ in OF_AWS),
        "ModelConnectFailuresAlarm",
        "ModelReconnectsAlarm",
        "CallsTakenOverAlarm",
        "LoopLagAlarm",
        "CallSlotsAlarm",
        "StaleMetricsAlarm",
        "StuckCallsAlarm",
        "CallMinutesAlarm",
    }
    assert tried == ALARMS.keys()
    assert all(metrics_of(alarm) for alarm in ALARMS.values())
