"""Makes clips/*.wav with espeak-ng: `python -m simulators.audio.make_clips`. The clips are
committed."""

import io
import subprocess
import wave

import numpy as np

from simulators.audio.speech import CLIP_TEXTS, CLIPS_DIR, SAMPLE_RATE_HZ, Signal, resample
from simulators.audio.voice import normalise, trim

VOICES = {
    "agent": ("-v", "en-us+f3", "-p", "55", "-s", "175"),
    "caller": ("-v", "en-gb+m3", "-p", "35", "-s", "165"),
}


def speak(name: str, text: str) -> Signal:
    voice = VOICES[name.partition("_")[0]]
    run = subprocess.run(("espeak-ng", *voice, "--stdout", text), capture_output=True, check=True)
    # espeak-ng writes to a pipe, where the length field of the header is only a placeholder.
    with wave.open(io.BytesIO(run.stdout)) as wav:
        rate_hz, header_bytes = wav.getframerate(), 44
    spoken = resample(np.frombuffer(run.stdout[header_bytes:], "<i2"), rate_hz, SAMPLE_RATE_HZ)
    return normalise(trim(spoken))


def main() -> None:
    CLIPS_DIR.mkdir(exist_ok=True)
    for name, text in CLIP_TEXTS.items():
        with wave.open(str(CLIPS_DIR / f"{name}.wav"), "wb") as wav:
            wav.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            wav.writeframes(speak(name, text).round().astype("<i2").tobytes())


if __name__ == "__main__":
    main()
