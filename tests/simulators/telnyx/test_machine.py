"""An answering machine speaks its greeting even if the agent speaks, beeps, and records until a
long silence."""

import numpy as np

from simulators.audio.speech import CLIPS, Samples, recognise
from simulators.scenario import SHORT
from simulators.telnyx.behaviour import Person
from simulators.telnyx.machine import BEEP_MS, GREETING, PAUSE_MS, Machine
from simulators.telnyx.person import FRAME_MS, SILENT_FRAME


def hear(machine: Machine, samples: Samples) -> Samples:
    """Pass samples to the machine and return what it says meanwhile."""
    whole = samples[: len(samples) // len(SILENT_FRAME) * len(SILENT_FRAME)]
    return np.concatenate([machine.hear(frame) for frame in whole.reshape(-1, len(SILENT_FRAME))])


def test_the_greeting_is_said_over_whoever_speaks_and_the_beep_ends_it() -> None:
    machine = Machine(Person(SHORT, silence_timeout_ms=2000), lambda name, detail: None)
    length_ms = round(CLIPS[GREETING].duration_ms) + PAUSE_MS + BEEP_MS + 2 * FRAME_MS
    said = hear(machine, np.resize(CLIPS["agent_free_times"].samples, length_ms * 8))
    assert recognise(said[: len(CLIPS[GREETING].samples)]).clip is CLIPS[GREETING]
    assert machine.is_recording
    hear(machine, np.zeros(8 * 1000, np.int16))
    message = np.concatenate((CLIPS["agent_farewell"].samples, np.zeros(8 * 1000, np.int16)))
    assert not hear(machine, message).any()
    assert machine.message.clip is CLIPS["agent_farewell"]
    assert machine.goodbye is None
    hear(machine, np.zeros(8 * 2000, np.int16))
    assert machine.goodbye == "agent_silent"
