import numpy as np

from simulators.audio.make_clips import PEAK_DBFS, SPOKEN_LEVEL_DBFS, normalise, trim
from simulators.audio.speech import CLIP_TEXTS, CLIPS, CLIPS_DIR, FULL_SCALE


def level_dbfs(value: float) -> float:
    return float(20 * np.log10(value / FULL_SCALE))


def test_the_committed_clips_are_those_of_the_script() -> None:
    assert {path.stem for path in CLIPS_DIR.glob("*.wav")} == set(CLIP_TEXTS)
    assert sum(path.stat().st_size for path in CLIPS_DIR.glob("*.wav")) < 1_000_000


def test_all_clips_are_equally_loud_and_none_is_clipped() -> None:
    for clip in CLIPS.values():
        samples = clip.samples.astype(np.float64)
        assert abs(level_dbfs(np.sqrt((samples**2).mean())) - SPOKEN_LEVEL_DBFS) < 1
        assert level_dbfs(np.abs(samples).max()) <= PEAK_DBFS + 0.01


def test_silence_around_a_voice_is_cut_and_its_level_set() -> None:
    voice = np.sin(np.arange(800) / 5) * 0.2 + 0.001
    padded = np.concatenate((np.zeros(300), voice, np.zeros(300)))
    assert len(trim(padded)) <= 800
    loudness = np.sqrt((normalise(voice) ** 2).mean())
    assert abs(level_dbfs(loudness) - SPOKEN_LEVEL_DBFS) < 0.1
