"""Frames of the Telnyx media stream in both directions (Telnyx, "Media streaming over WebSockets").

A call sends fifty frames a second. Each is decoded directly into a struct, base64 included, and
passed on without a copy into other types.
"""

from binascii import b2a_base64
from collections.abc import Mapping
from typing import get_args

import msgspec

from phonebridge.errors import TelnyxError
from phonebridge.telnyx import tolerant_json

Text = str | bytes | memoryview


class MalformedFrame(TelnyxError):
    """A frame that is not JSON, or not JSON of this protocol. The message says where."""


class _Frame(msgspec.Struct, frozen=True, gc=False, tag_field="event"):
    """Base of all frames. Only fields that we use are declared, so a strange value elsewhere does
    no harm."""


class _Connection(msgspec.Struct, frozen=True, gc=False):
    auth_token: str | None = msgspec.field(default=None, name="x-telnyx-streaming-auth-token")


class Connected(_Frame, frozen=True, gc=False, tag="connected"):
    """The first frame. `Start` follows when the call is answered."""

    connected: _Connection | None = None
    token: str | None = None
    """The token of a browser, which cannot set headers."""

    @property
    def auth_token(self) -> str | None:
        return self.token or (self.connected.auth_token if self.connected else None)


class MediaFormat(msgspec.Struct, frozen=True, gc=False):
    """The format of the audio that Telnyx sends: the codec of the phone leg, whatever we send."""

    encoding: str
    sample_rate: int = 8000
    channels: int = 1


class StreamedLeg(msgspec.Struct, frozen=True, gc=False):
    media_format: MediaFormat
    call_control_id: str = ""
    """Empty in the frames of a browser."""
    call_session_id: str | None = None
    client_state: str | None = None
    """`client_state` as it was set: base64."""


class Start(_Frame, frozen=True, gc=False, tag="start"):
    start: StreamedLeg
    stream_id: str = ""


INBOUND = ("inbound", "inbound_track")
"""Names of the inbound track. The REST API says `inbound_track` where frames say `inbound`."""


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """Audio of one track: the RTP payload without header, 20 ms in practice. The order of frames is
    not guaranteed."""

    payload: bytes
    track: str = "inbound"
    chunk: int | None = None
    """A counter that starts with 1. On the wire it is a decimal string."""


class Media(_Frame, frozen=True, gc=False, tag="media"):
    media: Chunk


class DtmfDigit(msgspec.Struct, frozen=True, gc=False):
    digit: str


class Dtmf(_Frame, frozen=True, gc=False, tag="dtmf"):
    dtmf: DtmfDigit


class MarkName(msgspec.Struct, frozen=True, gc=False):
    name: str


class Mark(_Frame, frozen=True, gc=False, tag="mark"):
    """A mark that we sent has returned: the audio before it was played, or cleared."""

    mark: MarkName


class Stop(_Frame, frozen=True, gc=False, tag="stop"):
    """The stream is over. The socket closes soon, or has already closed."""


class StreamError(msgspec.Struct, frozen=True, gc=False):
    code: int | None = None
    title: str | None = None
    detail: str | None = None


class ErrorFrame(_Frame, frozen=True, gc=False, tag="error"):
    """Telnyx did not understand a frame that we sent."""

    payload: StreamError = StreamError()


class UnknownFrame(msgspec.Struct, frozen=True, gc=False):
    """A kind of frame that this code does not know."""

    event: str


_KnownFrame = Connected | Start | Media | Dtmf | Mark | Stop | ErrorFrame
Frame = _KnownFrame | UnknownFrame

_KINDS: Mapping[object, type[_KnownFrame]] = {
    kind.__struct_config__.tag: kind for kind in get_args(_KnownFrame)
}
_NOT_STRICT: msgspec.json.Decoder[_KnownFrame] = msgspec.json.Decoder(_KnownFrame, strict=False)
"""It also accepts "4" where an int is expected."""


def decode(text: Text) -> Frame:
    """Decode a frame of Telnyx. Raises `MalformedFrame`."""
    try:
        return _NOT_STRICT.decode(text)
    except (ValueError, RecursionError) as error:
        return _decode_tolerantly(text, error)


CLEAR = b'{"event":"clear"}'
"""Asks Telnyx to stop playing, drop queued audio, and return all marks."""


def encode_media(payload: bytes) -> bytes:
    """Encode audio for the caller. `payload` is 20 ms to 30 s of codec bytes without RTP header."""
    return b'{"event":"media","media":{"payload":"%b"}}' % b2a_base64(payload, newline=False)


def encode_mark(name: str) -> bytes:
    """Encode a mark. `name` is plain ASCII and returns when the media before it was played or
    cleared."""
    return b'{"event":"mark","mark":{"name":"%b"}}' % name.encode()


def _decode_tolerantly(text: Text, refusal: Exception) -> Frame:
    """Decode an unknown kind of frame, or a frame with unusual values in optional or unused
    fields."""
    try:
        value = tolerant_json.decode(
            text.encode(errors="surrogatepass") if isinstance(text, str) else bytes(text)
        )
    except ValueError as error:
        raise MalformedFrame(f"Not JSON: {error}") from refusal
    try:
        unknown, _ = tolerant_json.convert(value, UnknownFrame)
        kind = _KINDS.get(unknown.event)
        return tolerant_json.convert(value, kind, strict=False)[0] if kind else unknown
    except msgspec.ValidationError as error:
        raise MalformedFrame(str(error)) from refusal
