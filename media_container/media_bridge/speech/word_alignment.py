"""Finds the words of an item that were played before it was stopped.

The model sends the words and the sound of an item separately. Their ratio varies, and the words
usually come first. So each word gets a share of the time in which there is speech, weighted by how
long it takes to say. Pauses in the sound are aligned with commas and full stops in the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter

import numpy as np

from media_bridge.audio.loudness import LOUDNESS_STEP_MS

VOICED_SHARE = 0.1
"""Sound below this share of the usual loudness is a pause."""
MIN_PAUSE_STEPS = 6
"""Steps; shorter ones are within words."""
MISSING_PAUSE_COST = 80.0
"""Steps: what it costs to leave a comma without its pause, as much as one 1.6 s away."""
DEFAULT_SPEAKING_RATE = 2.3
"""Steps per weight of a word, for a voice without earlier measurements."""
MAX_CLAUSES, MAX_PAUSES = 12, 24
"""Together they limit the search to a third of a millisecond, while a caller waits for silence."""

# A word, or one sign of a script that does without spaces.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
_VOWELS = re.compile(r"[aeiouyà-åæè-ïò-öøù-ýÿœ]+", re.IGNORECASE)
_SENTENCE_ENDS = ".?!。！？"
_CLAUSE_ENDS = ".,;:?!…。、！？"


@dataclass(frozen=True, slots=True)
class _Pause:
    at: int
    """Steps of speech before the pause."""
    length: int


def speaking_rate(text: str, loudness: Sequence[int]) -> float | None:
    """Return how fast somebody spoke who said all of `text`."""
    weight = sum(_weight(word.group()) for word in _WORD.finditer(text))
    spoken = float(_voiced_steps(loudness).sum())
    return spoken / weight if weight and spoken else None


def split_at(
    text: str, loudness: Sequence[int], played_ms: int, unfinished_at: float | None = None
) -> tuple[str, str]:
    """Split `text` into the words that were played and the rest. `loudness` has one value per step
    of the sound. If more sound of this text is to come, `unfinished_at` is the speaking rate."""
    words = list(_WORD.finditer(text))
    if not words or not played_ms:
        return "", text.strip()
    voiced = _voiced_steps(loudness)
    weights = [0.0, *accumulate(_weight(word.group()) for word in words)]
    spoken = float(voiced.sum())
    if unfinished_at is not None:
        spoken = max(spoken, weights[-1] * unfinished_at)
    ends = _ends(words, weights, _CLAUSE_ENDS)
    if len(ends) > MAX_CLAUSES:
        ends = _ends(words, weights, _SENTENCE_ENDS)
    anchors = _anchors(ends, spoken / weights[-1], _pauses(voiced))
    known, times = zip((0.0, 0.0), *anchors, (weights[-1], spoken), strict=True)
    played_steps = float(voiced[: played_ms // LOUDNESS_STEP_MS].sum())
    middles = [(begin + end) / 2 for begin, end in zip(weights, weights[1:], strict=False)]
    count = int((np.interp(middles, known, times) < played_steps).sum())
    cut = words[count - 1].end() if count else 0
    return text[:cut].strip(), text[cut:].strip()


def _ends(words: list[re.Match[str]], weights: list[float], marks: str) -> list[float]:
    inner = zip(words[:-1], weights[1:-1], strict=True)
    return [end for word, end in inner if word.group()[-1] in marks]


def _weight(word: str) -> float:
    """Return how long a word takes to say, by its sounds, syllables and digits."""
    letters = sum(map(str.isalpha, word))
    digits = sum(map(str.isdigit, word))
    signs = sum(sign in "$€£%&@" for sign in word)
    syllables = max(len(_VOWELS.findall(word.rstrip("e" + _CLAUSE_ENDS))), min(1, letters))
    return 1 + letters / 2 + 2 * syllables + 5.5 * digits + 5 * signs


def _voiced_steps(loudness: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    levels = np.asarray(loudness)
    loud = levels[levels > levels.max(initial=0) * 0.02]
    place = len(loud) * 3 // 5  # a percentile of numpy's own takes twenty times as long
    usual = float(np.partition(loud, place)[place]) if len(loud) else 0.0
    return levels > VOICED_SHARE * usual


def _pauses(voiced: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[_Pause]:
    """List the pauses between the first and the last spoken step."""
    spoken = np.flatnonzero(voiced)
    gaps = np.diff(spoken) - 1
    return [
        _Pause(int(place) + 1, int(gaps[place]))
        for place in np.flatnonzero(gaps >= MIN_PAUSE_STEPS)
    ]


def _anchors(
    ends: Sequence[float], steps_per_weight: float, pauses: Sequence[_Pause]
) -> Sequence[tuple[float, int]]:
    """Pair the ends of clauses with pauses. The pairs keep the order, and are the nearest to one
    another in all."""
    if len(ends) > MAX_CLAUSES:
        return ()
    longest = sorted(pauses, key=lambda pause: pause.length, reverse=True)[:MAX_PAUSES]
    pauses = sorted(longest, key=lambda pause: pause.at)
    best: list[tuple[float, tuple[tuple[float, int], ...]]] = [(0.0, ())]
    for pause in pauses:
        best.append((best[-1][0] + _idle(pause), ()))
    for end in ends:
        row = [(best[0][0] + MISSING_PAUSE_COST, best[0][1])]
        for number, pause in enumerate(pauses):
            apart = abs(end * steps_per_weight - pause.at)
            paired = (best[number][0] + apart, (*best[number][1], (end, pause.at)))
            unpaired = (best[number + 1][0] + MISSING_PAUSE_COST, best[number + 1][1])
            skipped = (row[number][0] + _idle(pause), row[number][1])
            row.append(min(paired, unpaired, skipped, key=itemgetter(0)))
        best = row
    return best[-1][1]


def _idle(pause: _Pause) -> float:
    """Return the cost of a pause within a clause. Longer pauses are less likely."""
    return min(MISSING_PAUSE_COST, pause.length) / 2
