"""What a task measures, and when it starts from nothing again."""

from media_bridge.figures import Figures
from phonebridge.call import Activity
from phonebridge.turn import Latency, Speaker, Turn

ALL = {
    "ActiveCalls",
    "CallSlots",
    "DroppedFrames",
    "ModelConnectFailures",
    "ModelConnectMs",
    "TurnLatencyMs",
    "FirstAudioMs",
    "BargeInMs",
    "LoopLagMs",
}


def agent_turn(latency_ms: int | None) -> Turn:
    latency = None if latency_ms is None else Latency(0, latency_ms, 0)
    return Turn(number=1, who=Speaker.AGENT, text="", started_ms=0, ended_ms=900, latency=latency)


def test_an_idle_task_tells_zeros() -> None:
    told = Figures().taken(active_calls=0, slots=40)
    assert set(told) == ALL
    assert told["CallSlots"] == 40
    counts = ("ActiveCalls", "DroppedFrames", "ModelConnectFailures")
    assert [told[name] for name in counts] == [0, 0, 0]


def test_what_was_told_is_not_told_again() -> None:
    figures = Figures()
    figures.model_connected(0.1234)
    figures.model_unreachable()
    figures.turn_ended(agent_turn(640))
    figures.turn_ended(agent_turn(None))
    figures.playback_cleared(0.0011)
    figures.loop_lagged(-0.0005)
    told = figures.taken(active_calls=2, slots=40)
    assert (told["ModelConnectMs"], told["ModelConnectFailures"]) == ([123.4], 1)
    assert told["TurnLatencyMs"] == [640]
    assert (told["BargeInMs"], told["LoopLagMs"]) == ([1.1], [0.0])
    assert figures.taken(2, 40) == Figures().taken(2, 40)


def test_a_calls_totals_count_once_however_often_it_is_looked_at() -> None:
    figures = Figures()
    looks = [
        Activity(),
        Activity(frames_lost=2, first_audio_ms=300),
        Activity(frames_lost=2, first_audio_ms=300),
        Activity(frames_lost=5, first_audio_ms=300),
    ]
    for before, now in zip(looks, looks[1:], strict=False):
        figures.call_went_on(before, now)
    told = figures.taken(1, 40)
    assert (told["DroppedFrames"], told["FirstAudioMs"]) == (5, [300])
