"""The path of the caller's audio to the model: it is put in order, converted, and kept until the
model is ready."""

from collections import deque
from itertools import islice

from media_bridge.audio.codecs import MODEL_BYTES_PER_MS, Codec
from media_bridge.audio.converters import (
    Converter,
    Metered,
    Muted,
    PassThrough,
    TelephoneToModel,
    Transcoder,
)
from media_bridge.audio.jitter_buffer import REORDER_WINDOW_SECONDS, JitterBuffer
from media_bridge.audio.late_frames import LateFrames
from media_bridge.audio.loudness import LOUD_LEVEL, Loudness
from media_bridge.audio.pace_limit import PaceLimit
from media_bridge.commands import AppendAudio, BridgeCommand
from phonebridge.settings import ModelAudio

EARLY_AUDIO_SECONDS = 1
"""How much of the caller's audio is kept while the first session is not ready."""
RECENT_AUDIO_SECONDS = 8.0
"""How much audio the next session gets at most after a loss. A server that answers nothing any more
is given up after 5 s (`openai/client.py`)."""
RECENT_FRAMES = 400
SAMPLED_FRAMES = 8
"""Each eighth frame is measured, one in 160 ms. A syllable takes about 200 ms."""
DETECTION_SECONDS = 0.8
"""A detector reports speech after about 0.2 s, and its start is needed with some silence before."""
GAP_TIMEOUT_SECONDS = 0.75
"""Frames come every 20 ms, unless the line is muted, on hold or lossy, or stalls."""
FRAME_SECONDS = 0.02
STALL_LOOKS = 2
"""A stalled line delivers everything later, and silence meanwhile would cut a sentence in two. TCP
sends a lost segment again after about 0.2, 0.6 and 1.4 s (RFC 6298; Linux waits at least 0.2 s). So
a gap counts as a stall until the second check."""
PAUSE_LOOKS = 1
"""A line counts as one with pauses, not stalls, if it paused before without sending the frames
later."""


class CallerAudioPath:
    """Call `begin` before the first frame. Nothing is passed on before `start_forwarding`."""

    def __init__(self, model_audio: ModelAudio) -> None:
        self.frames = 0
        self._model_audio = model_audio
        self._line = self._model_codec = Codec.PCMU
        self._jitter_buffer: JitterBuffer | LateFrames = JitterBuffer(b"")
        self._bare: Converter = PassThrough()
        self._converter: Converter = self._bare
        self._is_muted = False
        self._meter: Loudness | None = None
        self._looks = 0
        self._looks_needed = STALL_LOOKS
        self._frames_at_last_look = 0
        self._early = bytearray()
        self._kept_bytes = self._bytes_of(EARLY_AUDIO_SECONDS)
        self._recent: deque[bytes] = deque(maxlen=RECENT_FRAMES)
        self._is_forwarding = False
        self._limit = PaceLimit()
        self._stopped = False

    @property
    def frames_lost(self) -> int:
        return self._jitter_buffer.frames_lost + self._limit.drops

    def begin(self, line: Codec, model_codec: Codec, now: float) -> None:
        """Begin with the line's codec. `model_codec` is the one that the session was configured
        with, because a line may turn out to have another one."""
        self._line, self._model_codec = line, model_codec
        self._jitter_buffer = JitterBuffer(line.silence)
        self._limit = PaceLimit(line.rate_hz * line.bytes_per_sample, now)
        if self._model_audio is ModelAudio.PCM24K:
            self._bare = TelephoneToModel(line)
        elif line is not model_codec:
            self._bare = Transcoder(line, model_codec)
        self._compose()

    def mute(self, muted: bool) -> None:
        """Mute or unmute the caller. The model hears silence instead, because its detector runs on
        the audio's clock."""
        self._is_muted = muted
        self._compose()

    def measure(self, on: bool) -> None:
        """Measure how loud the caller is. While this is off, frames cost nothing more."""
        self._meter = Loudness(self._line) if on else None
        self._compose()

    def take_level(self) -> int:
        """Return the loudest moment since the last call."""
        level = max(self._meter.steps, default=0) if self._meter else 0
        self.measure(self._meter is not None)
        return level

    def was_loud(self, seconds: float) -> bool:
        """Measure what the model was sent last. This costs too much to do it often."""
        is_pcm = self._model_audio is ModelAudio.PCM24K
        meter = Loudness(None if is_pcm else self._model_codec)
        meter.feed(b"".join(self._recent)[-self._bytes_of(seconds) :])
        return max(meter.steps, default=0) >= LOUD_LEVEL

    def was_loud_lately(self) -> bool:
        """Measure a sample of the frames that the model was sent last. This costs an eighth of
        `was_loud`."""
        meter = Loudness(None if self._model_audio is ModelAudio.PCM24K else self._model_codec)
        meter.feed(b"".join(islice(self._recent, None, None, SAMPLED_FRAMES)))
        return max(meter.steps, default=0) >= LOUD_LEVEL

    def _compose(self) -> None:
        self._converter = self._bare
        if self._meter:
            self._converter = Metered(self._meter, self._converter)
        if self._is_muted:
            self._converter = Muted(self._line.silence, self._converter)

    def push(self, chunk: int | None, payload: bytes, now: float) -> list[BridgeCommand]:
        self.frames += 1
        return self._convert(self._jitter_buffer.push(chunk, payload, now), now)

    def due(self, now: float) -> list[BridgeCommand]:
        return self._convert(self._jitter_buffer.due(now), now)

    def next_deadline(self) -> float:
        return self._jitter_buffer.next_deadline()

    def look_for_gap(self, last_frame_at: float, speaks: bool, now: float) -> list[BridgeCommand]:
        """Fill a gap in the caller's audio with silence. Call this `GAP_TIMEOUT_SECONDS` after the
        last frame, and after the last check.

        Without frames the model cannot detect the end of a turn, because its detector runs on the
        clock of the audio. So while the caller speaks, the model gets as much silence as time has
        passed, never more.
        """
        received = self.frames - self._frames_at_last_look
        self._frames_at_last_look = self.frames
        if received and self._looks:
            self._end_gap(received)
        if last_frame_at + GAP_TIMEOUT_SECONDS > now:
            return []
        self._looks += 1
        if not speaks or self._looks < self._looks_needed:
            return self.due(now)
        if isinstance(self._jitter_buffer, JitterBuffer):
            self._jitter_buffer = LateFrames(self._jitter_buffer, self._line, last_frame_at)
        return self._convert(self._jitter_buffer.fill(last_frame_at, now), now)

    def _end_gap(self, received: int) -> None:
        """End a gap. If more frames have come since the last check than time has passed, they were
        held up."""
        was_stall = received * FRAME_SECONDS > GAP_TIMEOUT_SECONDS + REORDER_WINDOW_SECONDS
        self._looks_needed = STALL_LOOKS if was_stall else PAUSE_LOOKS
        self._looks = 0

    def flush(self, now: float) -> list[BridgeCommand]:
        """Return the frames that still wait for earlier ones, because the call is over."""
        return self.due(now + REORDER_WINDOW_SECONDS)

    def start_forwarding(self) -> list[BridgeCommand]:
        """Pass audio on from now on. Return the audio that was kept until now."""
        self._is_forwarding = True
        early = [AppendAudio(bytes(self._early))] if self._early else []
        self._early.clear()
        return [*early]

    def lose_session(self, speech_seconds: float | None) -> None:
        """Keep audio for the next session, together with the speech that the lost session had not
        committed yet. It began `speech_seconds` ago, or is None if the caller was silent."""
        self._is_forwarding = False
        self._kept_bytes = self._bytes_of(RECENT_AUDIO_SECONDS)
        if speech_seconds is not None and not self._stopped:
            recent = b"".join(self._recent)
            size = self._bytes_of(min(speech_seconds + DETECTION_SECONDS, RECENT_AUDIO_SECONDS))
            self._early += recent[-size:]
        self._recent.clear()

    def _bytes_of(self, seconds: float) -> int:
        return round(seconds * 1000) * MODEL_BYTES_PER_MS[self._model_audio]

    def stop(self) -> None:
        """Drop all audio from now on."""
        self._stopped = True
        self._early.clear()

    def _convert(self, payload: bytes, now: float) -> list[BridgeCommand]:
        limit = self._limit
        if self._is_forwarding:
            limit.room -= len(payload)
            if limit.room < 0 and not limit.admits(len(payload), now):
                return []
        audio = self._converter.feed(payload) if payload else b""
        if not audio or self._stopped:
            return []
        if self._is_forwarding:
            self._recent.append(audio)
            return [AppendAudio(audio)]
        self._early += audio
        del self._early[: -self._kept_bytes]
        return []
