"""The parts of a wait add up to it."""

from hypothesis import given
from hypothesis import strategies as st

from media_bridge.speech.response_latency import ResponseTimer

seconds = st.floats(0, 60, allow_nan=False)


@given(st.none() | st.floats(0.1, 5), seconds, seconds, seconds, seconds)
def test_the_parts_follow_each_other_without_a_gap(
    detector: float | None, noticed: float, response: float, model: float, bridge: float
) -> None:
    wait = ResponseTimer(noticed, detector)
    wait.on_response_started(noticed + response)
    wait.on_model_audio("item-1", noticed + response + model)
    sounded = noticed + response + model + bridge
    latency = wait.finish(sounded)
    assert latency.total_ms == round((sounded - wait.last_word_at) * 1000)
    assert (latency.detector_ms is None) is (detector is None)
    assert min(latency.response_ms, latency.model_ms, latency.bridge_ms) >= 0


def test_a_server_that_does_not_announce_its_response_is_all_model() -> None:
    wait = ResponseTimer(1.0, 0.2)
    wait.on_model_audio("item-1", 1.5)
    assert (wait.finish(1.5).response_ms, wait.finish(1.5).model_ms) == (0, 500)
