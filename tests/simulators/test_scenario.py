import numpy as np
import pytest

from simulators.audio.speech import CLIPS, SAMPLE_RATE_HZ, VoiceActivityDetector
from simulators.scenario import SCENARIOS, Scenario

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
SCRIPTED = [each for each in SCENARIOS.values() if each.is_scripted]
OPENAI_DEFAULT_SILENCE_MS = 200


@pytest.mark.parametrize("scenario", SCRIPTED, ids=lambda scenario: scenario.name)
def test_every_line_has_its_clip_and_its_answer(scenario: Scenario) -> None:
    said = {line.clip for line in scenario.caller if not line.digits}
    calls = [call for calls in scenario.tool_calls.values() for call in calls]
    preambles = {call.preamble for call in calls if call.preamble}
    answers = {scenario.greeting, scenario.fallback, *scenario.replies.values(), *preambles}
    assert said == set(scenario.replies)
    assert said >= set(scenario.tool_calls)
    assert said | answers <= set(CLIPS)


@every_scenario
def test_a_caller_line_is_one_turn_for_the_model(scenario: Scenario) -> None:
    for line in scenario.caller:
        if line.digits:
            continue
        detector = VoiceActivityDetector(
            SAMPLE_RATE_HZ, silence_duration_ms=OPENAI_DEFAULT_SILENCE_MS
        )
        tail = np.zeros(SAMPLE_RATE_HZ, np.int16)
        events = detector.feed(np.concatenate((CLIPS[line.clip].samples, tail)))
        assert len(events) == 2, line.clip


def test_the_demo_interrupts_one_long_sentence() -> None:
    scenario = SCENARIOS["appointment"]
    (index,) = [n for n, line in enumerate(scenario.caller) if line.interrupt_after_ms]
    interrupted = CLIPS[scenario.replies[scenario.caller[index - 1].clip]]
    after_ms = scenario.caller[index].interrupt_after_ms
    assert after_ms is not None
    assert interrupted.duration_ms > after_ms + 3000
