"""Speaks any text with a synthetic voice of the espeak-ng library.

The library is GPL-3.0-or-later. It is a development dependency. Only the simulators load it, and no
deployed package contains it.
"""

import ctypes
import sys
import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from simulators.audio.speech import CLIPS, FULL_SCALE, Clip, Signal

SPOKEN_LEVEL_DBFS = -20.0
PEAK_DBFS = -1.0
DEFAULT_LANGUAGE = "en-us"
AUDIBLE_SHARE = 0.01
"""Share of the loudest sample. Softer samples at the start and the end are cut off."""
SILENCE_SECONDS = 0.2
"""Length of the silence for a text that has no sound."""
WITHOUT_LIBRARY = "agent_filler"
"""The recorded clip that replaces every text if the library cannot be loaded."""

# speak_lib.h of espeak-ng
SYNCHRONOUS_OUTPUT = 2
DO_NOT_EXIT = 0x8000
UTF8 = 1
BY_CHARACTER = 1
RATE, PITCH = 1, 3

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True, slots=True)
class Voice:
    variant: str
    """A variant of espeak-ng. f1 to f5 sound female, m1 to m8 sound male."""
    language: str = DEFAULT_LANGUAGE
    pitch: int = 55
    words_per_minute: int = 175


class VoiceUnavailable(Exception):
    """The library cannot be loaded on this machine."""


_LOADING = threading.Lock()


class Espeak:
    """The loaded library. A process has one instance, because the library keeps its voice in
    global variables."""

    def __init__(self, library: Path, data: Path) -> None:
        self._chunks: list[bytes] = []
        self._turn = threading.Lock()
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise VoiceUnavailable(f"espeak-ng cannot be loaded: {error}") from error
        self.rate_hz: int = self._library.espeak_Initialize(
            SYNCHRONOUS_OUTPUT, 0, str(data).encode(), DO_NOT_EXIT
        )
        if self._library.espeak_SetVoiceByName(DEFAULT_LANGUAGE.encode()) != 0:
            raise VoiceUnavailable(f"espeak-ng finds no data in {data}")
        self._callback = _Callback(self._receive)  # without this reference it would be collected
        self._library.espeak_SetSynthCallback(self._callback)

    def synthesize(self, text: str, voice: Voice) -> Signal:
        encoded = text.encode() + b"\0"
        with self._turn:
            self._chunks.clear()
            self._choose(voice)
            self._library.espeak_Synth(encoded, len(encoded), 0, BY_CHARACTER, 0, UTF8, None, None)
            samples = np.frombuffer(b"".join(self._chunks), np.int16)
        return normalise(trim(samples.astype(np.float64)))

    def _choose(self, voice: Voice) -> None:
        for language in (voice.language, voice.language.partition("-")[0], DEFAULT_LANGUAGE):
            name = f"{language}+{voice.variant}".lower().encode()
            if self._library.espeak_SetVoiceByName(name) == 0:
                break
        self._library.espeak_SetParameter(RATE, voice.words_per_minute, 0)
        self._library.espeak_SetParameter(PITCH, voice.pitch, 0)

    def _receive(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: int) -> int:
        if samples and count:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0


def load_espeak() -> Espeak:
    with _LOADING:
        return _load_espeak()


@cache
def _load_espeak() -> Espeak:
    try:
        import espeakng_loader
    except ImportError as error:
        raise VoiceUnavailable("the package espeakng-loader is not installed") from error
    return Espeak(Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path()))


@cache
def is_available() -> bool:
    """Whether the library can be loaded. If not, the reason is printed once on stderr."""
    try:
        load_espeak()
    except VoiceUnavailable as error:
        print(f"{error}. The simulated model says a recorded sentence instead.", file=sys.stderr)
        return False
    return True


@lru_cache(maxsize=64)
def synthesize(text: str, voice: Voice) -> Clip:
    """Speak the text. Without the library, return a recorded clip that has a text of its own."""
    if not is_available():
        return CLIPS[WITHOUT_LIBRARY]
    espeak = load_espeak()
    samples = espeak.synthesize(text, voice).round().astype(np.int16)
    samples.setflags(write=False)
    return Clip("", text, samples, espeak.rate_hz)


def trim(sound: Signal) -> Signal:
    loud = np.flatnonzero(np.abs(sound) > AUDIBLE_SHARE * np.abs(sound).max(initial=0.0))
    return sound[loud[0] : loud[-1] + 1] if len(loud) else np.zeros(0)


def normalise(sound: Signal) -> Signal:
    if not len(sound):
        return np.zeros(round(SILENCE_SECONDS * 22_050))
    rms, peak = np.sqrt((sound**2).mean()), np.abs(sound).max()
    gain = min(10 ** (SPOKEN_LEVEL_DBFS / 20) / rms, 10 ** (PEAK_DBFS / 20) / peak)
    scaled: Signal = sound * gain * FULL_SCALE
    return scaled
