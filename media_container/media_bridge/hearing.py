"""The caller's sound on its way to the model: in order, in the model's format, kept until the model
is ready."""

from media_bridge.audio import (
    Codec,
    Converter,
    Loudness,
    Metered,
    Muted,
    PassThrough,
    TelephoneToModel,
    Transcoder,
)
from media_bridge.commands import AppendAudio, BridgeCommand
from media_bridge.conversation import MODEL_BYTES_PER_MS
from media_bridge.order import FrameOrder
from phonebridge.settings import ModelAudio

EARLY_AUDIO_SECONDS = 1
"""How much of the caller is kept while the model is not ready."""


class Hearing:
    """Nothing is heard before `begin`, and nothing passed on before `pass_on`."""

    def __init__(self, model_audio: ModelAudio) -> None:
        self.frames = 0
        self._model_audio = model_audio
        self._line = Codec.PCMU
        self._order = FrameOrder(b"")
        self._bare: Converter = PassThrough()
        self._converter: Converter = self._bare
        self._is_muted = False
        self._meter: Loudness | None = None
        self._early = bytearray()
        self._passes_on = False
        self._stopped = False

    @property
    def frames_lost(self) -> int:
        return self._order.lost

    def begin(self, line: Codec, told: Codec) -> None:
        """`told` is the codec of which the model knows; a line may turn out to speak the other."""
        self._line = line
        self._order = FrameOrder(line.silence)
        if self._model_audio is ModelAudio.PCM24K:
            self._bare = TelephoneToModel(line)
        elif line is not told:
            self._bare = Transcoder(line, told)
        self._compose()

    def mute(self, muted: bool) -> None:
        """The model hears silence instead: its detector runs on the audio's clock."""
        self._is_muted = muted
        self._compose()

    def measure(self, on: bool) -> None:
        """Measure how loud the caller is; frames cost nothing more while this is off."""
        self._meter = Loudness(self._line) if on else None
        self._compose()

    def take_level(self) -> int:
        """The loudest moment since the last call."""
        level = max(self._meter.steps, default=0) if self._meter else 0
        self.measure(self._meter is not None)
        return level

    def _compose(self) -> None:
        self._converter = self._bare
        if self._meter:
            self._converter = Metered(self._meter, self._converter)
        if self._is_muted:
            self._converter = Muted(self._line.silence, self._converter)

    def frame(self, chunk: int | None, payload: bytes, now: float) -> list[BridgeCommand]:
        self.frames += 1
        return self._hear(self._order.push(chunk, payload, now))

    def due(self, now: float) -> list[BridgeCommand]:
        return self._hear(self._order.due(now))

    def next_deadline(self) -> float | None:
        return self._order.next_deadline()

    def fill_gap(self, seconds: float) -> list[BridgeCommand]:
        """Without frames the model cannot see the end of a turn, for its detector runs on the
        audio's clock. It gets as much silence as time has passed, never more."""
        return self._hear(self._order.stand_in(round(seconds * 1000) * self._line.bytes_per_ms))

    def pass_on(self) -> list[BridgeCommand]:
        """The model is ready: what was kept for it."""
        self._passes_on = True
        early = [AppendAudio(bytes(self._early))] if self._early else []
        self._early.clear()
        return [*early]

    def stop(self) -> None:
        """Nobody is there to be heard any more."""
        self._stopped = True
        self._early.clear()

    def _hear(self, payload: bytes) -> list[BridgeCommand]:
        audio = self._converter.feed(payload) if payload else b""
        if not audio or self._stopped:
            return []
        if self._passes_on:
            return [AppendAudio(audio)]
        self._early += audio
        keep = EARLY_AUDIO_SECONDS * 1000 * MODEL_BYTES_PER_MS[self._model_audio]
        del self._early[:-keep]
        return []
