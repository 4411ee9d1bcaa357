"""Translates between the bridge and the Telnyx media stream: frames to events, and commands to
frames."""

import base64

import numpy as np

from media_bridge import commands, events
from media_bridge.audio.codecs import PCM16, Codec
from phonebridge.settings import ByteOrder
from phonebridge.telnyx import media

PhoneCommand = commands.PlayAudio | commands.MarkPlayback | commands.ClearPlayback

DIGITS = "0123456789ABCD*#"


class TelnyxStream:
    """Translates the frames of one stream. We speak in the codec `spoken`. Inside the bridge, L16
    has the byte order of PCM16. The byte order on the wire is a setting, because no document of
    Telnyx states it."""

    def __init__(self, spoken: Codec, l16_byte_order: ByteOrder) -> None:
        self._l16 = np.dtype(">i2" if l16_byte_order is ByteOrder.BIG else "<i2")
        self._speaks_l16 = spoken is Codec.L16
        self._receives_l16 = False

    def decode(self, text: media.Text) -> events.PhoneEvent | None:
        """Return None for frames that the bridge does not need."""
        try:
            frame = media.decode(text)
        except media.MalformedFrame as error:
            return events.MalformedFrameReceived(str(error))
        if isinstance(frame, media.Media):  # a `case` takes twice as long
            return self._to_caller_audio(frame.media)
        match frame:
            case media.Start(leg):
                self._receives_l16 = leg.media_format.encoding == Codec.L16.value
                return _to_start_event(leg)
            case media.Stop():
                return events.StreamStopped()
            case media.Dtmf(key):
                return _to_digit_event(key.digit.upper())
            case media.ErrorFrame(complaint):
                known = (complaint.title, complaint.detail)
                return events.StreamErrorReceived(": ".join(part for part in known if part))
            case media.Mark(mark):
                return events.MarkReturned(mark.name)
            case media.Connected() | media.UnknownFrame():
                return None

    def encode(self, command: PhoneCommand) -> bytes:
        match command:
            case commands.PlayAudio(payload):
                return media.encode_media(self._from_pcm(payload) if self._speaks_l16 else payload)
            case commands.MarkPlayback(name):
                return media.encode_mark(name)
            case commands.ClearPlayback():
                return media.CLEAR

    def _to_caller_audio(self, chunk: media.Chunk) -> events.CallerAudio | None:
        payload = chunk.payload
        if not payload or chunk.track not in media.INBOUND:
            return None
        if self._receives_l16:
            payload = self._to_pcm(payload)
        return events.CallerAudio(payload, chunk.chunk)

    def _to_pcm(self, payload: bytes) -> bytes:
        """Drop half a sample at the end. It would shift all samples that follow."""
        return (
            np.frombuffer(payload, self._l16, len(payload) // PCM16.itemsize)
            .astype(PCM16)
            .tobytes()
        )

    def _from_pcm(self, pcm: bytes) -> bytes:
        return np.frombuffer(pcm, PCM16).astype(self._l16).tobytes()


def _to_digit_event(digit: str) -> events.DigitPressed | events.MalformedFrameReceived:
    known = len(digit) == 1 and digit in DIGITS
    return (
        events.DigitPressed(digit)
        if known
        else events.MalformedFrameReceived("a dtmf of no known key")
    )


def _to_start_event(leg: media.StreamedLeg) -> events.StreamStarted:
    return events.StreamStarted(
        call_control_id=leg.call_control_id,
        client_state=_decode_client_state(leg.client_state),
        encoding=leg.media_format.encoding,
        sample_rate_hz=leg.media_format.sample_rate,
    )


def _decode_client_state(client_state: str | None) -> str | None:
    if not client_state:
        return None
    try:
        return base64.b64decode(client_state, validate=True).decode()
    except ValueError:
        return client_state
