"""Publishes the measurements of a task's calls as CloudWatch metrics, in lines of the log. The
service is the only dimension, because CloudWatch bills each value of a dimension as a metric.

The service is the only dimension, because CloudWatch bills each value of a dimension as a metric.
"""

from collections import Counter

from aws_lambda_powertools.metrics import EphemeralMetrics

from phonebridge.call.turn import Turn
from phonebridge.call.usage import Activity

SERVICE = "media-bridge"


class WorkerMetrics:
    def __init__(self, namespace: str) -> None:
        """Collect figures for CloudWatch. Without a namespace, nothing is published."""
        # Named here, because POWERTOOLS_SERVICE_NAME is the same for all services of a stack.
        self._metrics = EphemeralMetrics(namespace=namespace, service=SERVICE)
        self._is_on = bool(namespace)
        self._dropped_frames = 0
        self._reconnects: Counter[str] = Counter()
        self._calls_taken_over = self._streams_restarted = 0

    def model_connected(self, after_seconds: float) -> None:
        self._add_duration("ModelConnectMs", after_seconds * 1000)
        self._add_connect(failures=0)

    def model_unreachable(self) -> None:
        self._add_connect(failures=1)

    def model_reconnected(self, reason: str, gap_ms: int) -> None:
        """Count a lost session that was replaced in the middle of a call."""
        self._add_duration("ModelGapMs", gap_ms)
        self._reconnects[reason] += 1

    def turn_ended(self, turn: Turn) -> None:
        if turn.latency_ms is not None:
            self._add_duration("TurnLatencyMs", turn.latency_ms)

    def call_went_on(self, before: Activity, now: Activity) -> None:
        """Between two looks at one call."""
        self._dropped_frames += now.frames_lost - before.frames_lost
        if before.first_audio_ms is None and now.first_audio_ms is not None:
            self._add_duration("FirstAudioMs", now.first_audio_ms)

    def playback_cleared(self, after_seconds: float) -> None:
        self._add_duration("BargeInMs", after_seconds * 1000)

    def loop_lagged(self, seconds: float) -> None:
        self._add_duration("LoopLagMs", max(0.0, seconds) * 1000)

    def call_taken_over(self) -> None:
        """Count a call of a dead task, for which this task requests the next stream."""
        self._calls_taken_over += 1

    def stream_restarted(self) -> None:
        """Count a stream that continues another one."""
        self._streams_restarted += 1

    def publish(self, active_calls: int, slots: int) -> None:
        """Print everything since the last time. Counts are printed when they are zero, too."""
        counts = {
            "ActiveCalls": active_calls,
            "CallSlots": slots,
            "DroppedFrames": self._dropped_frames,
            "ModelReconnects": self._reconnects.total(),
            "CallsTakenOver": self._calls_taken_over,
            "StreamsRestarted": self._streams_restarted,
        }
        self._dropped_frames = self._calls_taken_over = self._streams_restarted = 0
        if self._is_on:
            for name, count in counts.items():
                self._metrics.add_metric(name, "Count", count)
            if self._reconnects:
                self._metrics.add_metadata("reconnect_reasons", dict(self._reconnects))
            self._metrics.flush_metrics()
        self._reconnects.clear()

    def _add_connect(self, failures: int) -> None:
        """One value per attempt, so that the average is the share of failures."""
        if self._is_on:
            self._metrics.add_metric("ModelConnectFailures", "Count", failures)

    def _add_duration(self, name: str, milliseconds: float) -> None:
        if self._is_on:
            self._metrics.add_metric(name, "Milliseconds", round(milliseconds, 1))
