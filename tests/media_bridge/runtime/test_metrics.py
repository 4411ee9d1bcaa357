"""What a task measures, as CloudWatch gets it."""

import json

import pytest

from media_bridge.runtime.metrics import WorkerMetrics
from phonebridge.call.turn import Latency, Speaker, Turn
from phonebridge.call.usage import Activity
from tests.support.published_metrics import Published, published_in

Output = pytest.CaptureFixture[str]
NAMESPACE = "Phonebridge/stack"
COUNTS = {
    "ActiveCalls",
    "CallSlots",
    "CallsTakenOver",
    "DroppedFrames",
    "ModelReconnects",
    "StreamsRestarted",
}


def agent_turn(latency_ms: int | None) -> Turn:
    latency = None if latency_ms is None else Latency(0, latency_ms, 0)
    return Turn(number=1, who=Speaker.AGENT, text="", started_ms=0, ended_ms=900, latency=latency)


def publish(figures: WorkerMetrics, capsys: Output) -> Published:
    figures.publish(active_calls=2, slots=40)
    [published] = published_in(capsys.readouterr().out)
    return published


def test_an_idle_task_publishes_zeros_and_no_durations(capsys: Output) -> None:
    published = publish(WorkerMetrics(NAMESPACE), capsys)
    assert set(published.values) == COUNTS
    assert (published.values["CallSlots"], published.values["DroppedFrames"]) == ([40], [0])


def test_the_service_is_the_only_dimension_whatever_the_stack_calls_itself(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "phonebridge")
    published = publish(WorkerMetrics(NAMESPACE), capsys)
    assert published.namespace == NAMESPACE
    assert published.dimensions == {"service": "media-bridge"}


def test_what_was_published_is_not_published_again(capsys: Output) -> None:
    figures = WorkerMetrics(NAMESPACE)
    figures.model_connected(0.1234)
    figures.model_unreachable()
    figures.turn_ended(agent_turn(640))
    figures.turn_ended(agent_turn(None))
    figures.playback_cleared(0.0011)
    figures.loop_lagged(-0.0005)
    published = publish(figures, capsys)
    assert (
        published.values
        | {
            "ModelConnectMs": [123.4],
            "ModelConnectFailures": [0, 1],
            "TurnLatencyMs": [640],
            "BargeInMs": [1.1],
            "LoopLagMs": [0],
        }
        == published.values
    )
    assert published.units["TurnLatencyMs"] == "Milliseconds"
    assert publish(figures, capsys) == publish(WorkerMetrics(NAMESPACE), capsys)


def test_reconnects_are_counted_with_their_gaps_and_reasons(capsys: Output) -> None:
    figures = WorkerMetrics(NAMESPACE)
    for reason, gap_ms in (("closed", 400), ("reset", 900), ("closed", 500)):
        figures.model_reconnected(reason, gap_ms)
    figures.publish(active_calls=2, slots=40)
    output = capsys.readouterr().out
    [published] = published_in(output)
    assert published.values["ModelReconnects"] == [3]
    assert published.values["ModelGapMs"] == [400, 900, 500]
    assert json.loads(output)["reconnect_reasons"] == {"closed": 2, "reset": 1}
    assert publish(figures, capsys).values["ModelReconnects"] == [0]


def test_a_calls_totals_count_once_however_often_it_is_looked_at(capsys: Output) -> None:
    figures = WorkerMetrics(NAMESPACE)
    looks = [
        Activity(),
        Activity(frames_lost=2, first_audio_ms=300),
        Activity(frames_lost=2, first_audio_ms=300),
        Activity(frames_lost=5, first_audio_ms=300),
    ]
    for before, now in zip(looks, looks[1:], strict=False):
        figures.call_went_on(before, now)
    published = publish(figures, capsys)
    assert (published.values["DroppedFrames"], published.values["FirstAudioMs"]) == ([5], [300])


def test_more_durations_than_a_document_holds_take_several(capsys: Output) -> None:
    figures = WorkerMetrics(NAMESPACE)
    for _ in range(250):
        figures.loop_lagged(0.001)
    figures.publish(active_calls=0, slots=40)
    documents = published_in(capsys.readouterr().out)
    assert [len(each.values["LoopLagMs"]) for each in documents] == [100, 100, 50]
    assert [each for each in documents if each.dimensions != {"service": "media-bridge"}] == []
    assert ["CallSlots" in each.values for each in documents] == [False, False, True]


def test_without_a_namespace_nothing_is_published(capsys: Output) -> None:
    figures = WorkerMetrics("")
    for _ in range(250):
        figures.loop_lagged(0.001)
    figures.publish(active_calls=0, slots=40)
    assert capsys.readouterr().out == ""
