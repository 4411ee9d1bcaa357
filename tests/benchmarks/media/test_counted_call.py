"""The call whose instructions are counted, run without a counter, is a complete call."""

import subprocess
import sys

import msgspec
import pytest

from benchmarks.media.counted_call import (
    CALLER_FRAMES,
    INTERRUPTIONS,
    QUIET_FRAMES,
    SETTLING_TURNS,
    TURNS,
    Heard,
    frames,
)
from benchmarks.media.instructions import PROGRAM, environ
from benchmarks.media.model_script import SPEECH_MS
from phonebridge.settings import ModelAudio
from tests.support.waiting import TIMEOUT_SECONDS

SPOKEN_FRAMES = frames(0, SETTLING_TURNS) + QUIET_FRAMES + CALLER_FRAMES
SAID_MS = (SETTLING_TURNS + TURNS) * SPEECH_MS


def run_target(target: str, audio: ModelAudio) -> Heard:
    done = subprocess.run(
        (sys.executable, *PROGRAM, target),
        env=environ(audio),
        capture_output=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Heard)


@pytest.mark.parametrize("audio", ModelAudio)
def test_the_container_carries_the_whole_call(audio: ModelAudio) -> None:
    call = run_target("phonebridge", audio)
    assert call.clears == INTERRUPTIONS
    # Besides frames, the bridge sends its settings and truncations to the model.
    assert SPOKEN_FRAMES <= call.frames_to_model <= SPOKEN_FRAMES + 2 * (SETTLING_TURNS + TURNS)
    assert SAID_MS * 0.7 < call.played_ms < SAID_MS, "what was cut off did not leave"


@pytest.mark.parametrize("audio", ModelAudio)
def test_the_relay_carries_it_and_paces_nothing(audio: ModelAudio) -> None:
    call = run_target("relay", audio)
    assert call.frames_to_model == SPOKEN_FRAMES
    assert call.played_ms == pytest.approx(SAID_MS)
    assert call.clears == SETTLING_TURNS + TURNS, "whenever the caller speaks"


def test_a_target_that_answers_nothing_is_counted_too() -> None:
    assert run_target("nobody", ModelAudio.G711) == Heard(0, 0.0, 0)
