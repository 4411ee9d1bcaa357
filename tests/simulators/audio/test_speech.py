from itertools import permutations

import numpy as np
import pytest

from simulators.audio.g711 import A_LAW, MU_LAW
from simulators.audio.speech import (
    CLIPS,
    RECOGNITION_THRESHOLD,
    SAMPLE_RATE_HZ,
    UNINTELLIGIBLE,
    Clip,
    Samples,
    SpeechEnd,
    SpeechOnset,
    VoiceActivityDetector,
    recognise,
    resample,
)

BOOK = CLIPS["caller_book"]
every_clip = pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())


def silence(ms: int, rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    return np.zeros(ms * rate_hz // 1000, np.int16)


def to_pcm24k(samples: Samples) -> Samples:
    return resample(samples, SAMPLE_RATE_HZ, 24000).round().clip(-32768, 32767).astype(np.int16)


@every_clip
def test_a_clip_survives_one_phone_call(clip: Clip) -> None:
    on_the_line = MU_LAW.decode(MU_LAW.encode(clip.samples))
    at_the_model = np.concatenate((silence(2, 24000), to_pcm24k(on_the_line)))
    back = resample(at_the_model, 24000, SAMPLE_RATE_HZ).round().astype(np.int16)
    heard = recognise(A_LAW.decode(A_LAW.encode(back)))
    assert (heard.clip, heard.text) == (clip, clip.text)
    assert heard.correlation > 0.99
    assert heard.snr_db > 25
    assert heard.matched_ms == pytest.approx(
        clip.duration_ms, abs=120
    )  # a quiet first sound is trimmed


@every_clip
def test_the_wrong_law_is_not_speech(clip: Clip) -> None:
    for damaged in (
        MU_LAW.decode(A_LAW.encode(clip.samples)),
        A_LAW.decode(MU_LAW.encode(clip.samples)),
    ):
        assert recognise(damaged).text == UNINTELLIGIBLE


@every_clip
def test_swapped_bytes_are_not_speech(clip: Clip) -> None:
    assert recognise(clip.samples.byteswap()).clip is None


@every_clip
def test_the_wrong_rate_is_not_speech(clip: Clip) -> None:
    assert recognise(clip.samples, rate_hz=24000).clip is None
    assert recognise(to_pcm24k(clip.samples)).clip is None


def test_noise_and_silence_are_not_speech() -> None:
    noise = np.random.default_rng(7).normal(0, 3000, 3 * SAMPLE_RATE_HZ).astype(np.int16)
    for sound in (noise, silence(2000), silence(0), BOOK.samples[: SAMPLE_RATE_HZ // 10]):
        assert recognise(sound).text == UNINTELLIGIBLE


def test_no_clip_passes_for_another() -> None:
    """A clip that is mixed in quietly is never the recognised one."""
    for faint, loud in permutations(CLIPS.values(), 2):
        mixture = faint.samples[:SAMPLE_RATE_HZ] // 8 + loud.samples[:SAMPLE_RATE_HZ]
        assert recognise(mixture).clip is loud, (faint.name, loud.name)


@pytest.mark.parametrize("heard_ms", [400, 900, 2500])
def test_an_interrupted_sentence_is_known_by_its_beginning(heard_ms: int) -> None:
    clip = CLIPS["agent_free_times"]
    cut = np.concatenate((silence(700), clip.samples[: heard_ms * 8], silence(600)))
    heard = recognise(cut)
    assert heard.clip is clip
    assert heard.started_ms == pytest.approx(700, abs=20)
    assert heard.matched_ms == pytest.approx(heard_ms, abs=120)  # up to a pause in the sentence


def test_a_lost_beginning_shows() -> None:
    heard = recognise(np.concatenate((silence(100), BOOK.samples[500 * 8 :])))
    assert heard.clip is BOOK
    assert heard.started_ms == pytest.approx(-400, abs=20)
    assert heard.matched_ms == pytest.approx(BOOK.duration_ms - 500, abs=20)


def test_level_and_a_little_noise_do_not_matter() -> None:
    noise = np.random.default_rng(7).normal(0, 300, len(BOOK.samples))
    heard = recognise((BOOK.samples * 0.5 + noise).astype(np.int16))
    assert heard.clip is BOOK
    assert 8 < heard.snr_db < 20


def test_silenced_packets_leave_speech_but_missing_ones_do_not() -> None:
    """A player that drops late packets shifts everything after them. This counts as damage and is
    reported."""
    frames = np.array_split(BOOK.samples, 98)
    silenced = [frame * 0 if n % 20 == 5 else frame for n, frame in enumerate(frames)]
    missing = [frame for n, frame in enumerate(frames) if n % 20 != 5]
    assert recognise(np.concatenate(silenced)).clip is BOOK
    assert recognise(np.concatenate(missing)).correlation < RECOGNITION_THRESHOLD


@pytest.mark.parametrize("rate_hz", [8000, 24000])
@pytest.mark.parametrize("chunk", [37, 160, 100_000])
def test_speech_is_timed_on_the_audio_clock(rate_hz: int, chunk: int) -> None:
    clip = CLIPS["caller_thursday"]
    sound = resample(clip.samples, SAMPLE_RATE_HZ, rate_hz).astype(np.int16)
    line = np.concatenate((silence(1000, rate_hz), sound, silence(1000, rate_hz)))
    detector = VoiceActivityDetector(rate_hz, silence_duration_ms=200)
    pieces = np.split(line, range(chunk, len(line), chunk))
    started, stopped = (event for piece in pieces for event in detector.feed(piece))
    assert isinstance(started, SpeechOnset)
    assert isinstance(stopped, SpeechEnd)
    assert started.at_ms == pytest.approx(1000 - 300, abs=50)
    assert stopped.at_ms == pytest.approx(1000 + clip.duration_ms + 200, abs=80)


def test_padding_never_reaches_before_the_first_sample() -> None:
    started, _ = VoiceActivityDetector(SAMPLE_RATE_HZ).feed(
        np.concatenate((BOOK.samples, silence(600)))
    )
    assert started == SpeechOnset(0)


def test_a_click_is_not_speech_and_a_high_threshold_hears_only_loud_voices() -> None:
    click = np.concatenate((silence(100), np.full(160, 20_000, np.int16), silence(900)))
    assert VoiceActivityDetector(SAMPLE_RATE_HZ).feed(click) == []
    quiet = np.concatenate((BOOK.samples // 10, silence(900)))
    assert VoiceActivityDetector(SAMPLE_RATE_HZ, threshold=0.9).feed(quiet) == []
    assert len(VoiceActivityDetector(SAMPLE_RATE_HZ, threshold=0.3).feed(quiet)) == 2
