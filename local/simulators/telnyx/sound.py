"""The sound of a call in two channels. The first is the person's, the second is the agent's."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from simulators.audio.speech import FULL_SCALE, SAMPLE_RATE_HZ, Samples
from simulators.telnyx.person import SILENT_FRAME


class CallSound:
    def __init__(self) -> None:
        self._person: list[Samples] = []
        self._agent: list[Samples] = []

    def add(self, said: Samples, received: Samples) -> None:
        """Add the audio of both directions in the same 20 ms."""
        self._person.append(said)
        self._agent.append(received)

    @property
    def channels(self) -> npt.NDArray[np.int16]:
        """The samples, with a row per sample and a column per channel."""
        sides = (self._person, self._agent)
        return np.stack([np.concatenate((SILENT_FRAME, *side)) for side in sides], axis=1)

    def to_mp3(self) -> bytes:
        file = io.BytesIO()
        # libsndfile 1.2.2 distorts two channels of integers, but not of floating point numbers.
        samples = (self.channels / FULL_SCALE).astype(np.float32)
        soundfile.write(file, samples, SAMPLE_RATE_HZ, format="MP3")
        return file.getvalue()

    def save_wav(self, path: Path) -> None:
        soundfile.write(path, self.channels, SAMPLE_RATE_HZ, format="WAV")
