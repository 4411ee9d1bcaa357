import numpy as np

from simulators.audio.speech import CLIP_TEXTS, CLIPS, CLIPS_DIR, FULL_SCALE
from simulators.audio.voice import PEAK_DBFS, SPOKEN_LEVEL_DBFS


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
