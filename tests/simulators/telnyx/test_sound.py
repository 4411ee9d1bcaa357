import io
import wave
from pathlib import Path

import numpy as np
import soundfile

from simulators.audio.speech import CLIPS, SAMPLE_RATE_HZ, Samples, recognise
from simulators.telnyx.person import SILENT_FRAME
from simulators.telnyx.sound import CallSound

QUESTION, ANSWER = CLIPS["caller_book"], CLIPS["agent_which_day"]


def conversation() -> CallSound:
    """The person speaks first, then the agent."""
    length = len(SILENT_FRAME)
    pad = np.zeros(-(len(QUESTION.samples) + len(ANSWER.samples)) % length, np.int16)
    said = np.concatenate((QUESTION.samples, np.zeros_like(ANSWER.samples), pad))
    received = np.concatenate((np.zeros_like(QUESTION.samples), ANSWER.samples, pad))
    sound = CallSound()
    for begin in range(0, len(said), length):
        sound.add(said[begin : begin + length], received[begin : begin + length])
    return sound


def channel(decoded: Samples, number: int) -> Samples:
    return decoded[:, number].astype(np.int16)


def test_an_mp3_has_both_sides_on_channels_of_their_own() -> None:
    decoded, rate_hz = soundfile.read(io.BytesIO(conversation().to_mp3()), dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    assert recognise(channel(decoded, 0)).clip is QUESTION
    assert recognise(channel(decoded, 1)).clip is ANSWER


def test_a_wav_file_is_read_by_anybody(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    conversation().save_wav(path)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, SAMPLE_RATE_HZ)
        decoded = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert recognise(channel(decoded, 0)).clip is QUESTION
    assert recognise(channel(decoded, 1)).clip is ANSWER


def test_a_call_in_which_nothing_was_said_is_a_file_too() -> None:
    decoded, _ = soundfile.read(io.BytesIO(CallSound().to_mp3()), dtype="int16")
    assert not np.abs(decoded).max()
