"""The parts of a wait add up to it."""

from hypothesis import given
from hypothesis import strategies as st

from media_bridge.latency import Wait

seconds = st.floats(0, 60, allow_nan=False)


@given(st.none() | st.floats(0.1, 5), seconds, seconds, seconds, seconds)
def test_the_parts_follow_each_other_without_a_gap(
    detector: float | None, noticed: float, response: float, model: float, bridge: float
) -> None:
    wait = Wait(noticed, detector)
    wait.response_started(noticed + response)
    wait.model_spoke("item-1", noticed + response + model)
    sounded = noticed + response + model + bridge
    latency = wait.sounded(sounded)
    assert latency.total_ms == round((sounded - wait.ended) * 1000)
    assert (latency.detector_ms is None) is (detector is None)
    assert min(latency.response_ms, latency.model_ms, latency.bridge_ms) >= 0


def test_a_server_that_does_not_announce_its_response_is_all_model() -> None:
    wait = Wait(1.0, 0.2)
    wait.model_spoke("item-1", 1.5)
    assert (wait.sounded(1.5).response_ms, wait.sounded(1.5).model_ms) == (0, 500)
