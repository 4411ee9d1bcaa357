"""Converters of one direction of one stream: line codec to model format and back."""

from typing import Protocol

from media_bridge.audio.codecs import Codec, decode, encode, linear_samples
from media_bridge.audio.loudness import Loudness
from media_bridge.audio.resampler import Downsampler, Upsampler


class TelephoneToModel:
    """Converts the line's codec to PCM16 at 24 kHz."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._upsampler = Upsampler(codec.rate_hz)

    def feed(self, payload: bytes) -> bytes:
        if self._codec is Codec.L16:
            return self._upsampler.feed(payload)
        return self._upsampler.feed_samples(linear_samples(self._codec, payload))

    def flush(self) -> bytes:
        return self._upsampler.flush()


class ModelToTelephone:
    """Converts PCM16 at 24 kHz to the line's codec."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._downsampler = Downsampler(codec.rate_hz)

    def feed(self, payload: bytes) -> bytes:
        return encode(self._codec, self._downsampler.feed(payload))

    def flush(self) -> bytes:
        return encode(self._codec, self._downsampler.flush())


class PassThrough:
    """The model speaks the line's own G.711: nothing is touched."""

    def feed(self, payload: bytes) -> bytes:
        return payload

    def flush(self) -> bytes:
        return b""


class Transcoder:
    """Converts one law of G.711 to the other."""

    def __init__(self, line: Codec, wanted: Codec) -> None:
        self._codes = encode(wanted, decode(line, bytes(range(256))))

    def feed(self, payload: bytes) -> bytes:
        return payload.translate(self._codes)

    def flush(self) -> bytes:
        return b""


class Converter(Protocol):
    """One direction of one stream, in pieces of any size; `flush` ends an utterance."""

    def feed(self, payload: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Muted:
    """Replaces sound by as much silence."""

    def __init__(self, silence: bytes, inner: Converter) -> None:
        self.inner = inner
        self._silence = silence

    def feed(self, payload: bytes) -> bytes:
        return self.inner.feed(self._silence * len(payload))

    def flush(self) -> bytes:
        return self.inner.flush()


class Metered:
    """Measures the sound that passes through."""

    def __init__(self, meter: Loudness, inner: Converter) -> None:
        self._meter = meter
        self._inner = inner

    def feed(self, payload: bytes) -> bytes:
        self._meter.feed(payload)
        return self._inner.feed(payload)

    def flush(self) -> bytes:
        return self._inner.flush()
