"""What the calls of a task measure, until it is told once a minute (`phonebridge.metrics`)."""

from dataclasses import dataclass, field

from phonebridge.call import Activity
from phonebridge.metrics import Values
from phonebridge.turn import Turn


@dataclass(slots=True)
class Figures:
    _model_connect_failures: int = 0
    _dropped_frames: int = 0
    _model_connect_ms: list[float] = field(default_factory=list)
    _turn_latency_ms: list[float] = field(default_factory=list)
    _first_audio_ms: list[float] = field(default_factory=list)
    _barge_in_ms: list[float] = field(default_factory=list)
    _loop_lag_ms: list[float] = field(default_factory=list)

    def model_connected(self, after_seconds: float) -> None:
        self._model_connect_ms.append(round(after_seconds * 1000, 1))

    def model_unreachable(self) -> None:
        self._model_connect_failures += 1

    def turn_ended(self, turn: Turn) -> None:
        if turn.latency_ms is not None:
            self._turn_latency_ms.append(turn.latency_ms)

    def call_went_on(self, before: Activity, now: Activity) -> None:
        """Between two looks at one call."""
        self._dropped_frames += now.frames_lost - before.frames_lost
        if before.first_audio_ms is None and now.first_audio_ms is not None:
            self._first_audio_ms.append(now.first_audio_ms)

    def playback_cleared(self, after_seconds: float) -> None:
        self._barge_in_ms.append(round(after_seconds * 1000, 1))

    def loop_lagged(self, seconds: float) -> None:
        self._loop_lag_ms.append(round(max(0.0, seconds) * 1000, 1))

    def taken(self, active_calls: int, slots: int) -> Values:
        """All since the last time; counts are there when they are zero too."""
        values: Values = {
            "ActiveCalls": active_calls,
            "CallSlots": slots,
            "DroppedFrames": self._dropped_frames,
            "ModelConnectFailures": self._model_connect_failures,
            "ModelConnectMs": self._model_connect_ms,
            "TurnLatencyMs": self._turn_latency_ms,
            "FirstAudioMs": self._first_audio_ms,
            "BargeInMs": self._barge_in_ms,
            "LoopLagMs": self._loop_lag_ms,
        }
        self._dropped_frames = self._model_connect_failures = 0
        self._model_connect_ms, self._turn_latency_ms, self._first_audio_ms = [], [], []
        self._barge_in_ms, self._loop_lag_ms = [], []
        return values
